//! Secrets and tokens that must not be found where they do not belong, in any of their forms.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What must not leak.
#[derive(Default)]
pub(crate) struct Canaries(Mutex<BTreeSet<String>>);

impl Canaries {
    /// From now on this text is one.
    pub(crate) fn add(&self, secret: &str) {
        // What is shorter could stand anywhere by chance.
        if secret.len() >= 12 {
            self.0.lock().unwrap().insert(secret.to_owned());
        }
    }

    /// Adds every token that a state file or a delivered document holds.
    pub(crate) fn add_of_json(&self, text: &[u8]) {
        fn walk(canaries: &Canaries, key: &str, value: &serde_json::Value) {
            match value {
                serde_json::Value::String(text)
                    if key == "key" || (key.contains("token") && !key.contains("type")) =>
                {
                    canaries.add(text);
                }
                serde_json::Value::Array(items) => items.iter().for_each(|item| walk(canaries, key, item)),
                serde_json::Value::Object(map) => {
                    map.iter().for_each(|(key, value)| walk(canaries, key, value))
                }
                _ => {}
            }
        }
        if let Ok(value) = serde_json::from_slice(text) {
            walk(self, "", &value);
        }
    }

    /// The forms of canaries that stand in `text`, described without showing them.
    pub(crate) fn found_in(&self, text: &str) -> Vec<String> {
        const KEY: usize = 8;
        let canaries = self.0.lock().unwrap();
        let mut wanted: HashMap<&[u8], Vec<usize>> = HashMap::new();
        let forms: Vec<(&String, &str, String)> = canaries
            .iter()
            .flat_map(|canary| forms(canary).into_iter().map(move |(name, form)| (canary, name, form)))
            .collect();
        for (number, (_, _, form)) in forms.iter().enumerate() {
            wanted.entry(&form.as_bytes()[..KEY]).or_default().push(number);
        }
        // One way through the text, however many there are to look for.
        let text = text.as_bytes();
        let mut found = BTreeSet::new();
        for (at, window) in text.windows(KEY).enumerate() {
            let here = wanted.get(window).into_iter().flatten();
            for (canary, name, _) in here
                .map(|number| &forms[*number])
                .filter(|(_, _, form)| text[at..].starts_with(form.as_bytes()))
            {
                let start: String = canary.chars().take(4).collect();
                found.insert(format!("{start}... ({} characters) as {name}", canary.len()));
            }
        }
        found.into_iter().collect()
    }
}

fn forms(canary: &str) -> Vec<(&'static str, String)> {
    let bytes = canary.as_bytes();
    let mut forms = vec![("raw", canary.to_owned())];
    // A JWT's beginning is the same for all; what proves its holder is the end.
    let (start, end) = (&canary[..12], &canary[canary.len() - 12..]);
    forms.push(("its last 12 characters", end.to_owned()));
    if !start.starts_with("eyJ") {
        forms.push(("its first 12 characters", start.to_owned()));
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    forms.extend([("upper-case hex", hex.to_uppercase()), ("hex", hex)]);
    let encoded: String = url::form_urlencoded::byte_serialize(bytes).collect();
    forms.push(("URL-encoded", encoded));
    // Inside of longer text the three alignments look different; the characters at both ends mix with it.
    for shift in 0..3 {
        let padded = [&b"\0\0\0"[..shift], bytes].concat();
        for (name, engine) in [("base64", &STANDARD_NO_PAD), ("base64url", &URL_SAFE_NO_PAD)] {
            let whole = engine.encode(&padded);
            let inner = whole.get(4..whole.len() - 2).unwrap_or_default();
            if inner.len() >= 10 {
                forms.push((name, inner.to_owned()));
            }
        }
    }
    forms
}

#[test]
fn a_canary_is_found_in_each_of_its_forms_and_nowhere_else() {
    let canaries = Canaries::default();
    canaries.add("Z0123/+456 789abcdef");
    let text = "account:Z0123/+456 789abcdef";
    let hidden = [
        text.to_owned(),
        STANDARD_NO_PAD.encode(text),
        STANDARD_NO_PAD.encode(format!("x{text}")),
        URL_SAFE_NO_PAD.encode(format!("xy{text}")),
        "5a303132332f2b343536203738396162636465660a".to_owned(),
        url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        "Z0123/+456 7".to_owned(),
    ];
    for text in hidden {
        assert!(!canaries.found_in(&text).is_empty(), "{text}");
    }
    assert!(canaries.found_in("Z0123 and other words").is_empty());
}
