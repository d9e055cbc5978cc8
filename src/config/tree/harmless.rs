//! What cannot be a secret: notations too narrow for one, and the names that tell that one may stand there.

use crate::config::shape::{Json, Kind, ScalarKind, Show, all};

/// Of durations, the longer first.
const UNITS: [&str; 6] = ["ms", "s", "m", "h", "d", "w"];

/// Whether a key of the user's own choosing may hold a secret.
pub(super) fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    const WORDS: [&str; 14] = [
        "pass",
        "pwd",
        "secret",
        "token",
        "key",
        "credential",
        "auth",
        "bearer",
        "cookie",
        "assertion",
        "signature",
        "private",
        "pin",
        "otp",
    ];
    WORDS.iter().any(|word| key.contains(word)) && !key.ends_with("_url") && !key.ends_with("_uri")
}

/// Whether what stands there is a secret, whatever its form.
pub(super) fn is_secret(kind: &Kind) -> bool {
    match kind {
        Kind::Secret => true,
        Kind::Map(_, inner) | Kind::List(inner) | Kind::OneOrList(inner) => is_secret(inner),
        Kind::Either(kinds) => kinds.iter().any(is_secret),
        Kind::Scalar(_) | Kind::Choice(_) | Kind::Section(_) | Kind::Json | Kind::Refused(_) => false,
    }
}

/// Whether a value is of a notation that `kind` or a part of it has, and so narrow that it is no secret. `names`: also a
/// name.
pub(super) fn fits(kind: &Kind, text: &str, names: bool) -> bool {
    match kind {
        Kind::Scalar(kind) => fits_scalar(kind, text, names),
        Kind::Choice(words) => words.contains(&text),
        Kind::Either(kinds) => kinds.iter().any(|kind| fits(kind, text, names)),
        Kind::List(item) | Kind::OneOrList(item) => fits(item, text, names),
        Kind::Section(shape) => {
            let may = |key: &str, kind: &Kind| !sounds_secret(key) && fits(kind, text, false);
            !leads_to_secret(kind) && shape.fields.iter().any(|field| may(field.key, &field.kind))
        }
        Kind::Secret | Kind::Map(..) | Kind::Json | Kind::Refused(_) => false,
    }
}

/// Whether a value under a known key in a place that is not known may be shown: it must fit wherever that key can stand.
pub(super) fn fits_anywhere(key: &str, text: &str) -> bool {
    // Names are what most passwords look like; nobody writes one under these two.
    let names = matches!(key, "provider" | "environment");
    let mut fields = all().iter().filter_map(|shape| shape.field(key)).peekable();
    !sounds_secret(key) && fields.peek().is_some() && fields.all(|field| fits(&field.kind, text, names))
}

/// The words that switch something, and nothing at all: no secret.
pub(super) fn is_switch(text: &str) -> bool {
    let words = ["", "~", "null", "true", "false", "yes", "no", "on", "off"];
    words.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// How many bytes of a URL are its scheme and its host, where it has no user.
pub(super) fn origin_of_url(text: &str) -> Option<usize> {
    let (scheme, rest) = text.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let fits = (1..=8).contains(&scheme.len())
        && scheme.bytes().all(|byte| byte.is_ascii_lowercase())
        && !text.contains(['@', '\\'])
        && is_host(host);
    fits.then_some(scheme.len() + 3 + host.len())
}

/// Whether a URL may hold a secret: a user, what might be one that has lost its `@`, a query or a fragment.
pub(super) fn has_more_than_path(text: &str) -> bool {
    let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    text.contains(['@', '?', '#', '\\'])
        || authority.split_once(':').is_some_and(|(_, port)| !port.is_empty() && !is_host(authority))
}

/// A host's name or address, perhaps with a port.
fn is_host(text: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || ".-_".contains(c);
    let (name, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", port),
        Some(_) => return false,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_port = |port: &str| port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    !name.is_empty() && name.chars().all(is_name) && (port.is_empty() || is_port(port))
}

/// A whole path of more than one part.
pub(super) fn is_path(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    text.starts_with('/') && text.len() <= 128 && text[1..].contains('/') && text.bytes().all(fits)
}

/// Short and made of the characters of names: a key or a choice, hardly a secret.
pub(super) fn is_word(text: &str) -> bool {
    text.len() <= 64 && text.chars().all(|c| c.is_alphanumeric() || "_.-:/ <[]*".contains(c))
}

fn fits_scalar(kind: &ScalarKind, text: &str, names: bool) -> bool {
    match (kind.show, kind.json) {
        (Show::Plain, Json::Bool) => is_switch(text),
        (Show::Plain, Json::Integer(least, most)) => {
            is_digits(text) && text.parse().is_ok_and(|number: u32| (least..=most).contains(&number))
        }
        (Show::Plain, Json::Number(_)) => {
            let digits = text.strip_prefix("0o").or(text.strip_suffix("xx")).unwrap_or(text);
            digits.len() <= 4 && is_digits(digits)
        }
        (Show::Plain, Json::Pattern(pattern)) => {
            is_measure(text)
                || is_cron(text)
                || text.parse::<std::net::IpAddr>().is_ok()
                || text.parse::<std::net::SocketAddr>().is_ok()
                || (pattern.contains('/') && !pattern.contains(':') && is_path(text))
                || (pattern.contains("://") && is_origin(text))
                || (pattern.contains("USR1") && is_signal(text))
                || (names && kind.name == "name" && is_name(text))
        }
        (Show::Host, _) => is_origin(text),
        (Show::Plain, Json::Text) | (Show::Braces | Show::Argument | Show::Pointer | Show::Never, _) => false,
    }
}

/// A URL without anything after its host.
fn is_origin(text: &str) -> bool {
    let bare = text.strip_suffix('/').unwrap_or(text);
    origin_of_url(bare) == Some(bare.len())
}

/// Whether a secret stands there or somewhere below.
fn leads_to_secret(kind: &Kind) -> bool {
    match kind {
        Kind::Section(shape) => shape.fields.iter().any(|field| leads_to_secret(&field.kind)),
        Kind::Map(_, inner) | Kind::List(inner) | Kind::OneOrList(inner) => leads_to_secret(inner),
        Kind::Either(kinds) => kinds.iter().any(leads_to_secret),
        _ => is_secret(kind),
    }
}

/// A duration, a share or a rate.
fn is_measure(text: &str) -> bool {
    let share = text.strip_suffix('%').map(|share| share.replacen('.', "", 1));
    let rate = text.split_once('/').filter(|(_, unit)| UNITS.contains(unit)).map(|(rate, _)| rate.to_owned());
    is_duration(text) || share.or(rate).is_some_and(|digits| digits.len() <= 6 && is_digits(&digits))
}

fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let unit = |rest: &'_ str| UNITS.iter().find_map(|unit| rest.strip_prefix(unit).map(str::len));
        let Some(left) = number(rest).and_then(unit) else { return false };
        rest = &rest[rest.len() - left..];
    }
    (1..=16).contains(&text.len())
}

/// What follows the digits that it begins with.
fn number(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < text.len()).then_some(rest)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Five or six fields of a calendar expression.
fn is_cron(text: &str) -> bool {
    let fields = text.split(' ').filter(|field| !field.is_empty());
    let fits = |field: &str| {
        field.len() <= 8 && field.bytes().all(|byte| byte.is_ascii_digit() || b"*/,-?".contains(&byte))
    };
    (5..=6).contains(&fields.clone().count()) && fields.clone().all(fits)
}

fn is_signal(text: &str) -> bool {
    let name = text.strip_prefix("SIG").unwrap_or(text);
    matches!(name, "HUP" | "INT" | "QUIT" | "USR1" | "USR2" | "TERM" | "WINCH" | "CONT" | "KILL" | "STOP")
}

/// As providers and environments are called.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    text.len() <= 40 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(fits)
}
