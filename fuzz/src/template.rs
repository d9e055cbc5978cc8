//! Templates of the environment's and other files: a text that a user writes, over values that a provider sends.
//!
//! The input is text: the file's name, the access token, a field of the reply as a JSON text (or as it stands), each on a
//! line of its own; the rest is the template.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use renewd::config::definition::Definition;
use renewd::config::model::{
    Content, FileSink, OnRemove, Sees, TemplateForm, TemplateTarget, TemplateText, Trial, WhenExpired,
    WriteMode,
};
use renewd::config::parse_definition;
use renewd::domain::{AccountId, Generation, Secret, Timestamp, Token, TokenDocument, TokenMeta};
use renewd::sink::template::{Template, quoted_values};
use renewd::sink::{Escape, Member, compose, content, fields, trial};
use serde_json::Value;

use super::words::{CANARY, hides};

const LARGEST: usize = 1 << 20;

static ACCOUNT: LazyLock<AccountId> = LazyLock::new(|| AccountId::new("messaging").expect("a name"));
static DEFINITION: LazyLock<Definition> = LazyLock::new(|| {
    parse_definition("everything", "everything", include_str!("everything.yaml")).expect("it is a definition")
});

/// One input of the target.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parts = text.splitn(4, '\n');
    let name = parts.next().unwrap_or_default().replace(['/', '\0'], "-");
    let token = parts.next().unwrap_or_default();
    let field = parts.next().unwrap_or_default();
    let field = serde_json::from_str(field).unwrap_or_else(|_| Value::from(field));
    let source = parts.next().unwrap_or_default();
    let path = Path::new("/run/renewd").join(&name);
    if let Value::String(field) = &field {
        reads_back(&path, field);
    }
    parses(&path, source);
    renders(&path, source, token, &field);
    ends_no_line(&path, source, token, &field);
}

/// Whatever the value is, it reads back as itself and nothing but it, where it is not refused.
fn reads_back(path: &Path, value: &str) {
    let before = "X=";
    let Ok(text) = render(path, "X={{ extra.scope }}\nY", "token", &Value::from(value)) else { return };
    let text = String::from_utf8(text).expect("text in, text out");
    let written = text.strip_prefix(before).and_then(|rest| rest.strip_suffix("\nY"));
    let written = written.expect("the value stands in its place");
    let read = match Escape::for_path(path) {
        Escape::Text => Some(written.to_owned()),
        Escape::Env | Escape::Shell => word(written),
        Escape::Json | Escape::Yaml => serde_json::from_str(written).ok(),
    };
    assert_eq!(read.as_deref(), Some(value), "{path:?}: {written:?}");
    let breaks = |letter: char| matches!(letter, '\n' | '\r');
    let controls = |letter: char| letter.is_control() && letter != '\t';
    match Escape::for_path(path) {
        Escape::Text | Escape::Env | Escape::Yaml => {
            assert!(!written.contains(controls), "{path:?}: {written:?}")
        }
        Escape::Json => assert!(!written.contains(breaks), "{path:?}: {written:?}"),
        Escape::Shell => {} // its quotes hold whole lines
    }
}

/// What a POSIX shell makes of one word: nothing in it is expanded, none ends it.
fn word(text: &str) -> Option<String> {
    let mut read = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => loop {
                match letters.next()? {
                    '\'' => break,
                    inside => read.push(inside),
                }
            },
            '"' => loop {
                match letters.next()? {
                    '"' => break,
                    '$' | '`' => return None,
                    '\\' => match letters.next()? {
                        escaped @ ('"' | '\\' | '$' | '`') => read.push(escaped),
                        other => read.extend(['\\', other]),
                    },
                    inside => read.push(inside),
                }
            },
            '\\' => read.push(letters.next()?),
            '~' if read.is_empty() || read.ends_with([':', '=']) => return None,
            bare if bare.is_ascii_alphanumeric() || "._~+/=:@-".contains(bare) => read.push(bare),
            _ => return None,
        }
    }
    Some(read)
}

/// A template that is at fault says where and why, on one line.
fn parses(path: &Path, source: &str) {
    let lines = source.split('\n').count();
    if let Err(error) = Template::for_path(source, path) {
        assert!((1..=lines + 1).contains(&error.line), "{error:?}");
        assert!(error.offset.is_none_or(|offset| offset <= source.len()), "{error:?}");
        assert!(!error.what.is_empty());
    }
    assert!(quoted_values(source).iter().all(|line| *line <= lines));
    for sees in [Sees::One(&ACCOUNT, &DEFINITION), Sees::Several(&[(&ACCOUNT, &DEFINITION)])] {
        for path in [Some(path), None] {
            if let Some(flaw) = trial::attempt(&Trial { text: source, path, sees }) {
                assert!(flaw.offset <= source.len() + 1 && !flaw.what.is_empty(), "{flaw:?}");
            }
        }
    }
}

/// In each of its places a template makes the same again, no more than there may be, and shows no value in an error.
fn renders(path: &Path, source: &str, token: &str, field: &Value) {
    let first = render(path, source, token, field);
    assert_eq!(first, render(path, source, token, field), "the same values make the same file");
    if let Ok(made) = &first {
        assert!(made.len() <= LARGEST);
        let printable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(printable, "a token that no file may hold: {token:?}");
    }
    // Neither the refresh token nor, in an error, any value where the template does not say so.
    if !hides(source) || !hides(token) || !hides(&field.to_string()) {
        return;
    }
    match render(path, source, CANARY, field) {
        Err(error) => assert!(hides(&error), "{error}"),
        Ok(_) if source.contains("refresh_token") => {}
        Ok(_) => {
            let made = with(token, CANARY, field, |member| single(path, source, member));
            assert!(made.is_err() || hides(&String::from_utf8_lossy(&made.unwrap_or_default())));
        }
    }
    with(token, CANARY, field, |member| {
        let templates = BTreeMap::from([("key".to_owned(), source.to_owned())]);
        if let Err(error) = fields::render(Some(&templates), member) {
            assert!(hides(&error.to_string()), "{error}");
        }
        if let Ok(every) = fields::render(None, member) {
            assert!(
                every.values().all(|field| hides(&field.to_json().to_string())),
                "the refresh token is named nowhere"
            );
        }
        let all = BTreeMap::from([(&*ACCOUNT, member)]);
        if let Err(error) = compose::render_all(&target(path, source), &all) {
            assert!(hides(&error.to_string()), "{error}");
        }
    });
}

/// A template that only names values makes as many lines with this token as with a plain one.
fn ends_no_line(path: &Path, source: &str, token: &str, field: &Value) {
    let only_names = !source.contains("{%")
        && !source.contains("{#")
        && source.split("{{").skip(1).all(|part| {
            let inside = part.split("}}").next().unwrap_or_default();
            inside.chars().all(|letter| letter.is_ascii_alphanumeric() || " ._|".contains(letter))
        });
    // Within its quotes a shell's word may have lines; `reads_back` looks at those.
    if !only_names
        || Escape::for_path(path) == Escape::Shell
        || source.contains("| sh")
        || source.contains("|sh")
    {
        return;
    }
    let plain = render(path, source, "plain", &Value::from("plain"));
    if let (Ok(plain), Ok(made)) = (plain, render(path, source, token, field)) {
        let breaks = |text: &[u8]| text.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
        assert_eq!(breaks(&plain), breaks(&made), "{}", String::from_utf8_lossy(&made));
    }
}

fn render(path: &Path, source: &str, token: &str, field: &Value) -> Result<Vec<u8>, String> {
    with(token, "refresh", field, |member| single(path, source, member))
}

fn single(path: &Path, source: &str, member: Member<'_>) -> Result<Vec<u8>, String> {
    let sink = FileSink {
        path: path.to_owned(),
        content: Content::Template(source.to_owned()),
        mode: 0o600,
        owner: None,
        group: None,
        write: WriteMode::Replace,
        when_expired: WhenExpired::Keep,
        on_remove: OnRemove::Keep,
    };
    content::render(&sink, member).map(|made| made.to_vec()).map_err(|error| error.to_string())
}

fn with<T>(token: &str, refresh: &str, field: &Value, then: impl FnOnce(Member<'_>) -> T) -> T {
    let at = Timestamp::from_secs(1_767_225_600);
    let token = Token {
        meta: TokenMeta {
            generation: Generation(7),
            issued_at: at,
            expires_at: Timestamp::from_secs(1_767_229_200),
        },
        access_token: Secret::from(token),
        token_type: "Bearer".to_owned(),
        extra: vec![("scope".to_owned(), field.clone())],
    };
    let refresh = Secret::from(refresh);
    let document = TokenDocument { account: &ACCOUNT, provider: "everything", token: &token };
    then(Member { document, refresh_token: Some(&refresh) })
}

fn target(path: &Path, source: &str) -> TemplateTarget {
    let text = TemplateText { source: Some(PathBuf::from("/etc/renewd/app.j2")), text: source.to_owned() };
    TemplateTarget {
        path: path.parent().unwrap_or(path).to_owned(),
        form: TemplateForm::Directory(BTreeMap::from([
            (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text.clone()),
            ("other.json".to_owned(), text),
        ])),
        accounts: vec![ACCOUNT.clone()],
        mode: 0o600,
        owner: None,
        group: None,
        on_remove: OnRemove::Keep,
        on_change: Vec::new(),
    }
}
