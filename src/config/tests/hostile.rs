//! Input that nobody means well: an error each time, never a crash, never a runaway.

use std::path::Path;

use proptest::prelude::*;

use super::{BIZPPURIO, BUILTIN, brief};
use crate::config::load::put_together;
use crate::config::{load_text, parse_definition};

fn load_bytes(bytes: Vec<u8>) -> Result<usize, String> {
    match put_together(
        Path::new("/etc/renewd/renewd.yaml"),
        bytes,
        &|_| None,
        &BUILTIN,
        &crate::sink::trial::attempt,
    ) {
        Ok(loaded) => Ok(loaded.config.accounts.len()),
        Err(problems) => Err(problems.to_string()),
    }
}

#[test]
fn deep_nesting_is_an_error() {
    let deep = [
        "[".repeat(100_000),
        "{".repeat(100_000),
        "{a: ".repeat(1_000),
        "- ".repeat(1_000),
        "? ".repeat(1_000),
        (0..1_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect(),
    ];
    for text in deep {
        let said = brief(&text);
        assert!(said.contains("nested"), "{said}");
    }
}

#[test]
fn aliases_of_aliases_are_an_error_before_they_explode() {
    let mut doubling = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..40 {
        let last = n - 1;
        doubling.push_str(&format!(
            "a{n}: &a{n} [*a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}]\n"
        ));
    }
    assert!(brief(&doubling).contains("aliases repeat too much"), "{}", brief(&doubling));

    let mut deepening = String::from("a0: &a0 [x]\n");
    for n in 1..10_000 {
        deepening.push_str(&format!("a{n}: &a{n} [*a{}]\n", n - 1));
    }
    assert!(brief(&deepening).contains("nested more than 64 levels"), "{}", brief(&deepening));

    let mut large = format!("a: &a \"{}\\n\"\nb:\n", "x".repeat(1_000_000));
    large.push_str(&"- *a\n".repeat(100_000));
    assert!(brief(&large).contains("aliases repeat too much"));
}

#[test]
fn oversized_values_are_an_error() {
    let text = format!("accounts: {{ a: {{ provider: {} }} }}\n", "x".repeat(2 << 20));
    assert!(brief(&text).contains("more than 1 MiB"));
}

#[test]
fn a_file_that_is_not_text_is_told_by_its_first_bad_byte() {
    let said = load_bytes(b"accounts:\n  \xff: {}\n".to_vec());
    let expected = "/etc/renewd/renewd.yaml:2:3: byte 12 is not UTF-8 text\n  hint: save the file as UTF-8";
    assert_eq!(said, Err(expected.to_owned()));
}

#[test]
fn many_mistakes_in_one_line_stay_cheap() {
    let keys: String = (0..4_000).map(|n| format!("k{n}: x, ")).collect();
    assert_eq!(brief(&format!("{{ {keys} accounts: {{}} }}")).lines().count(), 4_000);
}

const EXAMPLE: &str = r#"
vault: { address: "https://v:8200", auth: { approle: { role_id: { env: R }, secret_id: { file: /run/s } } } }
templates:
  - path: /run/renewd/all.env
    inline: |
      A={{ accounts.messaging.access_token }}
      {% for name in accounts %}{{ accounts[name].expires_at | datetime("%Y") }}{% endfor %}
    on_change: [{ command: [systemctl, reload, app] }, { signal: { pid_file: /run/p, signal: HUP } }]
  - { directory: /run/set, files: { t: "{{ accounts['other'].access_token }}", m: { inline: "{{ accounts.other | json }}" } } }
defaults: { renew: { before: 20% } }
accounts:
  messaging: &m
    provider: bizppurio
    environment: staging
    credentials: { account: 00123, password: { file: /run/secrets/bizppurio } }
    renew: { before: 10m, cron: "0 0 4 * * *", timezone: Asia/Seoul, min_interval: 60s }
    http: { timeout: 30s, proxy: "http://proxy:3128", source_address: 192.0.2.7 }
    sinks:
      - file: /run/renewd/messaging.token
      - file: { path: /run/renewd/messaging.env, template: "T={{ access_token }}", mode: "0640", group: app }
      - vault: { mount: secret, path: x, fields: { t: "{{ access_token }}" } }
      - kubernetes: { secret: s, namespace: n }
    verify: { url: "https://api.example.com/me", expect: [200] }
  other: { <<: *m, sinks: [] }
"#;

/// Pieces that mean something to YAML, to templates, or to us.
const PIECES: [&str; 30] = [
    "\n", "\n  ", "\n- ", ": ", ":", "- ", "? ", "{", "}", "[", "]", ",", "&m ", "*m", "<<: ", "!!str ",
    "!x ", "\"", "'", "|\n", ">\n", "#", "---\n", "...\n", "\t", "{{", "{%", "%}", "null", "\u{feff}",
];

#[derive(Debug, Clone)]
enum Edit {
    Remove(usize, usize),
    Insert(usize, usize),
    Byte(usize, u8),
    Copy(usize, usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (any::<usize>(), 0..40_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        (any::<usize>(), 0..PIECES.len()).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte(at, byte)),
        (any::<usize>(), 0..80_usize, any::<usize>())
            .prop_map(|(from, length, to)| Edit::Copy(from, length, to)),
    ]
}

fn mutated(text: &str, edits: &[Edit]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for edit in edits {
        let place = |at: usize, bytes: &[u8]| at % (bytes.len() + 1);
        match *edit {
            Edit::Remove(at, length) => {
                let at = place(at, &bytes);
                let end = (at + length).min(bytes.len());
                bytes.drain(at..end);
            }
            Edit::Insert(at, piece) => {
                let at = place(at, &bytes);
                bytes.splice(at..at, PIECES[piece].bytes());
            }
            Edit::Byte(at, byte) => {
                let at = place(at, &bytes);
                if let Some(old) = bytes.get_mut(at) {
                    *old = byte;
                }
            }
            Edit::Copy(from, length, to) => {
                let from = place(from, &bytes);
                let part = bytes[from..(from + length).min(bytes.len())].to_vec();
                let to = place(to, &bytes);
                bytes.splice(to..to, part);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = load_bytes(bytes);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "[a-z0-9 \\n:{}\\[\\],&*!|>'\"%@`#?<~.-]{0,120}") {
        let _ = load_text(Path::new("x.yaml"), &text, &|_| None, &BUILTIN);
    }

    #[test]
    fn a_mutated_configuration_never_panics(edits in proptest::collection::vec(edit(), 1..6)) {
        if let Err(said) = load_bytes(mutated(EXAMPLE, &edits)) {
            prop_assert!(!said.is_empty());
        }
    }

    #[test]
    fn a_mutated_definition_never_panics(edits in proptest::collection::vec(edit(), 1..6)) {
        let text = String::from_utf8_lossy(&mutated(BIZPPURIO, &edits)).into_owned();
        let _ = parse_definition("x", "x.yaml", &text);
    }
}
