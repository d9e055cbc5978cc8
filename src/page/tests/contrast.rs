use std::collections::BTreeMap;

use crate::page::frame;

/// `#rrggbb` of each name in the style sheet's first and second palette.
fn palettes() -> [BTreeMap<&'static str, [f64; 3]>; 2] {
    let palette = |text: &'static str| {
        let named = text.split("--").skip(1).filter_map(|pair| pair.split_once(":#"));
        let number = |digits: &str| f64::from(u8::from_str_radix(digits, 16).unwrap()) / 255.0;
        named.map(|(name, rest)| (name, [0, 2, 4].map(|from| number(&rest[from..from + 2])))).collect()
    };
    let mut roots = frame::STYLE.split(":root{").skip(1).map(|rest| palette(rest.split('}').next().unwrap()));
    [roots.next().unwrap(), roots.next().unwrap()]
}

/// WCAG 2.2, "contrast ratio".
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
    let light = |colour: [f64; 3]| {
        let [red, green, blue] = colour.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let (one, other) = (light(one), light(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn text_and_signs_stand_out_by_day_and_by_night() {
    let mut poor = Vec::new();
    for (number, palette) in palettes().into_iter().enumerate() {
        let mut hold = |front: &str, back: &str, least: f64| {
            let ratio = contrast(palette[front], palette[back]);
            if ratio < least {
                poor.push(format!("palette {number}: {front} on {back}: {ratio:.2}"));
            }
        };
        for back in ["bg", "card", "warnbg", "badbg", "goodbg"] {
            for front in ["ink", "soft", "link", "good", "calm", "warn", "bad"] {
                hold(front, back, 4.5);
            }
        }
        // What is drawn, against what it is drawn on.
        for (front, back) in [
            ("valid", "card"),
            ("valid", "ahead"),
            ("bad", "card"),
            ("ink", "valid"),
            ("ink", "ahead"),
            ("now", "ahead"),
            ("now", "valid"),
            ("now", "card"),
            ("link", "card"),
            ("valid", "track"),
            ("soft", "card"),
        ] {
            hold(front, back, 3.0);
        }
    }
    assert!(poor.is_empty(), "{}", poor.join("\n"));
}
