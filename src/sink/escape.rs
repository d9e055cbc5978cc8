//! How a value is written into a file so that it reads back as itself and can neither end its line nor become
//! anything but a value.

use std::path::Path;

/// What a template's target wants to be escaped for; by the ending of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Any other ending: values stand as they are; one with a line break or control character is refused.
    Text,
    /// `.env`: as `sh` and systemd's `EnvironmentFile=` both read it, and most dotenv libraries most of the time
    /// (docs/templates.md).
    Env,
    /// `.sh`: a word of a POSIX shell.
    Shell,
    /// `.json`: strings bring their quotes, everything else is JSON too.
    Json,
    /// `.yaml`, `.yml`: strings are always double-quoted, so that none turns into a number or `null`.
    Yaml,
}

/// Why a value cannot stand where the template puts it. Holds nothing of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It would end the line, or change what follows it.
    #[error("the value holds a line break or control character; encode it, for example with `b64encode`")]
    ControlCharacter,
    /// `datetime` wants RFC 3339 text or seconds since 1970.
    #[error("`datetime` wants a time such as `expires_at` or `expires_at_unix`")]
    NotATime,
    /// `datetime`'s second argument.
    #[error("`datetime` does not know this time zone")]
    UnknownZone,
    /// `datetime`'s first argument.
    #[error("`datetime` does not understand this format (strftime, as in `%Y-%m-%d %H:%M`)")]
    BadFormat,
    /// The value cannot be written as JSON.
    #[error("the value cannot be written as JSON")]
    NotJson,
}

impl Escape {
    /// By the ending of `path`; a file named just `.env` counts too.
    #[must_use]
    pub fn for_path(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("env") => Self::Env,
            Some("sh") => Self::Shell,
            Some("json") => Self::Json,
            Some("yaml" | "yml") => Self::Yaml,
            _ => Self::Text,
        }
    }

    /// `text` as this target writes a string.
    ///
    /// # Errors
    /// [`Refusal::ControlCharacter`] where the target has no safe way to write it.
    pub fn quote(self, text: &str) -> Result<String, Refusal> {
        match self {
            Self::Text => on_one_line(text).map(str::to_owned),
            Self::Env => on_one_line(text).map(env),
            Self::Shell if text.contains('\0') => Err(Refusal::ControlCharacter),
            Self::Shell => Ok(shell(text)),
            Self::Json => Ok(json(text)),
            Self::Yaml => Ok(yaml(text)),
        }
    }
}

fn on_one_line(text: &str) -> Result<&str, Refusal> {
    let breaks =
        |letter: char| (letter.is_control() && letter != '\t') || matches!(letter, '\u{2028}' | '\u{2029}');
    if text.contains(breaks) { Err(Refusal::ControlCharacter) } else { Ok(text) }
}

/// Bare where it can be, else in single quotes, in which nothing is special; with a `'` in it, in double quotes:
/// `'\''` would do for a shell, but systemd and dotenv read it differently.
fn env(text: &str) -> String {
    if is_bare(text) {
        return text.to_owned();
    }
    if !text.contains('\'') {
        return format!("'{text}'");
    }
    let mut quoted = String::with_capacity(text.len() + 8);
    quoted.push('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}

fn shell(text: &str) -> String {
    if is_bare(text) && !text.is_empty() {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// `[A-Za-z0-9._~+/=:@-]`, but no `~` where a shell would put a home directory in its place.
fn is_bare(text: &str) -> bool {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._~+/=:@-".contains(&byte);
    let home = text.starts_with('~') || text.contains(":~") || text.contains("=~");
    text.bytes().all(harmless) && !home
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Double-quoted.
fn yaml(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 8);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            _ => yaml_letter(letter, &mut quoted),
        }
    }
    quoted.push('"');
    quoted
}

/// JSON text as YAML: the same, but for letters in its strings and keys that only YAML takes for line breaks.
pub(super) fn yaml_from_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    json.chars().for_each(|letter| yaml_letter(letter, &mut text));
    text
}

/// What YAML does not print, or takes for a line break, is written as its number.
fn yaml_letter(letter: char, text: &mut String) {
    match letter {
        ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' => {
            text.push(letter)
        }
        '\u{ff00}'..='\u{fffd}' | '\u{10000}'.. => text.push(letter),
        _ => text.push_str(&format!("\\u{:04X}", u32::from(letter))),
    }
}
