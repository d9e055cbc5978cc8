use std::process::Command;

use proptest::prelude::*;

use super::super::escape::{Escape, yaml_from_json};

/// What a shell has in `X` after reading `X=<quoted>` from a file.
fn read_by_shell(name: &str, quoted: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::io::Write::write_all(
        &mut std::fs::File::create(&file).unwrap(),
        format!("X={quoted}\nY=after\n").as_bytes(),
    )
    .unwrap();
    let script = "set -eu; HOME=/home/wrong; . \"$1\"; [ \"$Y\" = after ]; printf '%s' \"$X\"";
    let output = Command::new("sh").args(["-c", script, "sh"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{quoted:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Strings in which everything that is special somewhere turns up often.
fn text() -> impl Strategy<Value = String> {
    let special = r#"[ '"$`\\!#%&*?~=:;<>|(){}\[\]\n\r\t,a-zA-Z0-9é가😀\u{85}\u{2028}\u{feff}\u{7f}\u{0}\u{1b}-]{0,24}"#;
    prop_oneof![special, any::<String>()]
}

fn breaks_lines(text: &str) -> bool {
    text.contains(|letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}'))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_shell_reads_back_what_env_and_sh_files_hold(text in text()) {
        match Escape::Env.quote(&text) {
            Ok(quoted) => {
                prop_assert!(!quoted.contains(['\n', '\r']));
                prop_assert_eq!(read_by_shell("a.env", &quoted), text.as_bytes());
            }
            Err(_) => prop_assert!(breaks_lines(&text)),
        }
        match Escape::Shell.quote(&text) {
            Ok(quoted) => prop_assert_eq!(read_by_shell("a.sh", &quoted), text.as_bytes()),
            Err(_) => prop_assert!(text.contains('\0')),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_and_yaml_read_back_what_they_hold(text in text()) {
        let json = Escape::Json.quote(&text).unwrap();
        prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text.clone());
        let yaml = Escape::Yaml.quote(&text).unwrap();
        prop_assert!(!breaks_lines(&yaml));
        let scalar = format!("key: {yaml}\nafter: x\n");
        prop_assert_eq!(read_by_yaml(&scalar), Some(text.clone()));
        let composed = yaml_from_json(&serde_json::json!([text.clone()]).to_string());
        prop_assert!(!breaks_lines(&composed));
        prop_assert_eq!(read_by_yaml(&format!("key: {composed}\n")), Some(text));
    }
}

/// The first value's text, read by the YAML parser that the configuration is read with.
fn read_by_yaml(document: &str) -> Option<String> {
    use granit_parser::{Event, Parser};
    let scalars = Parser::new_from_str(document).filter_map(|event| match event.unwrap().0 {
        Event::Scalar(text, ..) => Some(text.into_owned()),
        _ => None,
    });
    scalars.collect::<Vec<_>>().into_iter().nth(1)
}

#[test]
fn tokens_of_the_usual_letters_stay_bare() {
    let usual = "ABCxyz0189._~+/=:@-";
    assert_eq!(Escape::Env.quote(usual).unwrap(), usual);
    assert_eq!(Escape::Shell.quote(usual).unwrap(), usual);
    assert_eq!(Escape::Env.quote("").unwrap(), "");
}

#[test]
fn a_tilde_that_a_shell_would_replace_is_quoted() {
    for text in ["~", "~root/x", "a:~b", "a=~"] {
        assert_eq!(Escape::Env.quote(text).unwrap(), format!("'{text}'"));
        assert_eq!(read_by_shell("a.env", &format!("'{text}'")), text.as_bytes());
    }
}
