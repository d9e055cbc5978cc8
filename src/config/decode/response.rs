//! An operation of a definition: how its reply is read.

use std::time::Duration;

use super::operation::{Scope, is_header};
use super::renew::zone;
use super::scalar::{self, Refusal};
use super::{Fields, Report};
use crate::config::definition::{
    Body, BodyTest, ErrorRule, ExpiryRule, Method, Operation, Request, StatusPattern, Success, Unit, WaitHint,
};
use crate::config::shape::{BODY_TEST, ERROR, EXPIRY, SUCCESS, Shape, WAIT};
use crate::config::tree::Place;
use crate::config::words;
use crate::domain::ErrorClass;

const CLASSES: [(&str, ErrorClass); 6] = [
    ("rejected", ErrorClass::Rejected),
    ("throttled", ErrorClass::Throttled),
    ("transient", ErrorClass::Transient),
    ("malformed", ErrorClass::Malformed),
    ("relogin", ErrorClass::Relogin),
    ("config", ErrorClass::Config),
];
const UNITS: [(&str, Unit); 2] = [("s", Unit::Seconds), ("ms", Unit::Millis)];

/// The operation's own response on top of the definition's, key by key; its request is left to the caller.
pub(super) fn response(
    report: &mut Report,
    own: Option<&Fields<'_, '_>>,
    scope: &Scope<'_>,
    place: Place,
) -> Option<Operation> {
    let layers = Layers { own, common: scope.common };
    let token = layers.pointers(report, "token");
    if !layers.has("token") {
        report
            .error(place, "where the token stands is not said")
            .hint("add `token: /POINTER` to its `response` or to the definition's");
    }
    let operation = Operation {
        request: Request {
            method: Method::Post,
            url: String::new(),
            headers: Vec::new(),
            query: Vec::new(),
            basic: None,
            body: Body::Empty,
        },
        success: layers.with("success", |fields| success(report, fields)).unwrap_or_else(created),
        token,
        missing_token: layers
            .with("missing_token", |fields| fields.choice(report, "missing_token", &CLASSES))
            .unwrap_or(ErrorClass::Malformed),
        token_type: layers.pointers(report, "token_type"),
        refresh_token: layers.pointers(report, "refresh_token"),
        refresh_lifetime: layers.pointers(report, "refresh_lifetime"),
        extra: layers.with("extra", |fields| Some(extra(report, fields))).unwrap_or_default(),
        expiry: expiries(report, &layers, scope, place),
        clock: layers.pointers(report, "clock"),
        errors: layers
            .with("errors", |fields| Some(each(report, fields, "errors", &ERROR, error)))
            .unwrap_or_default(),
        wait: layers
            .with("wait", |fields| Some(each(report, fields, "wait", &WAIT, wait)))
            .unwrap_or_default(),
    };
    Some(operation)
}

/// Two mappings of which the first has the say, key by key.
struct Layers<'a, 't, 's> {
    own: Option<&'a Fields<'t, 's>>,
    common: Option<&'a Fields<'a, 'a>>,
}

impl Layers<'_, '_, '_> {
    fn has(&self, key: &str) -> bool {
        self.own.is_some_and(|fields| fields.has(key)) || self.common.is_some_and(|fields| fields.has(key))
    }

    fn with<T>(&self, key: &str, read: impl FnOnce(&Fields<'_, '_>) -> Option<T>) -> Option<T> {
        match (self.own.filter(|fields| fields.has(key)), self.common.filter(|fields| fields.has(key))) {
            (Some(fields), _) => read(fields),
            (None, Some(fields)) => read(fields),
            (None, None) => None,
        }
    }

    fn pointers(&self, report: &mut Report, key: &str) -> Vec<String> {
        self.with(key, |fields| Some(pointers(report, fields, key))).unwrap_or_default()
    }
}

fn created() -> Success {
    Success { status: vec![StatusPattern::Exact(200), StatusPattern::Exact(201)], body: Vec::new() }
}

fn success(report: &mut Report, fields: &Fields<'_, '_>) -> Option<Success> {
    let own = fields.section(report, "success", &SUCCESS)?;
    let status = statuses(report, &own);
    Some(Success {
        status: if own.has("status") { status } else { created().status },
        body: each(report, &own, "body", &BODY_TEST, body_test),
    })
}

fn body_test(report: &mut Report, fields: &Fields<'_, '_>) -> Option<BodyTest> {
    let values = texts(report, fields, "values");
    let or_absent = fields.boolean(report, "or_absent").unwrap_or(false);
    Some(BodyTest { at: fields.parsed(report, "at", scalar::pointer)?, values, or_absent })
}

fn expiries(
    report: &mut Report,
    layers: &Layers<'_, '_, '_>,
    scope: &Scope<'_>,
    place: Place,
) -> Vec<ExpiryRule> {
    if !layers.has("expiry") {
        return match scope.life {
            Some(life) => vec![ExpiryRule::Fixed(life)],
            None => {
                report
                    .error(place, "how long a token lives is not said")
                    .hint("add `expiry` to its `response`, or the documented `life` to the definition");
                Vec::new()
            }
        };
    }
    let read = |fields: &Fields<'_, '_>| {
        fields.not_empty(report, "expiry");
        Some(each(report, fields, "expiry", &EXPIRY, |report, fields| expiry(report, fields, scope)))
    };
    layers.with("expiry", read).unwrap_or_default()
}

fn expiry(report: &mut Report, fields: &Fields<'_, '_>, scope: &Scope<'_>) -> Option<ExpiryRule> {
    const KINDS: [&str; 7] = ["lifetime", "epoch", "datetime", "rfc3339", "jwt", "fixed", "param"];
    let given: Vec<&str> = KINDS.into_iter().filter(|key| fields.has(key)).collect();
    let &[kind] = given.as_slice() else {
        report.error(
            fields.place,
            format!("an expiry rule has exactly one of {}", words::list(KINDS.into_iter())),
        );
        return None;
    };
    for (key, allowed) in
        [("unit", &["lifetime", "epoch"][..]), ("format", &["datetime"]), ("zone", &["datetime"])]
    {
        if fields.has(key) && !allowed.contains(&kind) {
            report.error(
                fields.place_of(key),
                format!("`{key}` goes with {} only", words::list(allowed.iter().copied())),
            );
        }
    }
    let unit = fields.choice(report, "unit", &UNITS).unwrap_or(Unit::Seconds);
    let pointer = |report: &mut Report| fields.parsed(report, kind, scalar::pointer);
    match kind {
        "lifetime" => Some(ExpiryRule::Lifetime { at: pointer(report)?, unit }),
        "epoch" => Some(ExpiryRule::Epoch { at: pointer(report)?, unit }),
        "rfc3339" => Some(ExpiryRule::Rfc3339 { at: pointer(report)? }),
        "datetime" => {
            if !fields.has("format") {
                report.error(fields.place, "`datetime` needs a `format` such as \"%Y-%m-%d %H:%M:%S\"");
            }
            let format = fields.parsed(report, "format", strptime);
            let zone = fields.parsed(report, "zone", zone).unwrap_or_else(|| "UTC".to_owned());
            Some(ExpiryRule::DateTime { at: pointer(report)?, format: format?, zone })
        }
        "jwt" => fields.parsed(report, "jwt", scalar::name).map(|claim| ExpiryRule::Jwt { claim }),
        "fixed" => fields.duration(report, "fixed").map(ExpiryRule::Fixed),
        _ => {
            let name = fields.text(report, "param")?;
            if scope.params.iter().any(|param| param.name == name) {
                return Some(ExpiryRule::Param(name.to_owned()));
            }
            let known = scope.params.iter().map(|param| param.name.as_str());
            report.error(fields.place_of("param"), "not one of `params`").hint(words::suggest(
                name,
                known,
                "there are",
            ));
            None
        }
    }
}

/// A format that can read a whole date and time: what it prints it must read back.
fn strptime(text: &str) -> Result<String, Refusal> {
    let wrong =
        || Refusal::because("not a strptime format of a date and a time").with_hint("as in \"%Y%m%d%H%M%S\"");
    let sample = jiff::civil::date(2023, 11, 14).at(22, 13, 0, 0);
    let printed = sample.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let printed =
        printed.and_then(|sample| jiff::fmt::strtime::format(text, &sample).ok()).ok_or_else(wrong)?;
    match jiff::civil::DateTime::strptime(text, &printed) {
        Ok(read) if read == sample => Ok(text.to_owned()),
        _ => Err(wrong()),
    }
}

fn extra(report: &mut Report, fields: &Fields<'_, '_>) -> Vec<(String, String)> {
    let mut extra = Vec::new();
    for (entry, text) in fields.text_map(report, "extra") {
        let read =
            scalar::name(&entry.key).and_then(|name| scalar::pointer(text).map(|pointer| (name, pointer)));
        match read {
            Ok(pair) => extra.push(pair),
            Err(refusal) => {
                let message =
                    refusal.message.unwrap_or_else(|| "expected a name and a JSON pointer".to_owned());
                report.error(entry.place, message).hint = refusal.hint;
            }
        }
    }
    extra
}

fn error(report: &mut Report, fields: &Fields<'_, '_>) -> Option<ErrorRule> {
    if fields.has("at") != fields.has("values") {
        report.error(fields.place, "`at` and `values` go together");
    }
    if !fields.has("at") && !fields.has("status") {
        report.error(fields.place, "a rule without a condition").hint("add `status`, or `at` with `values`");
    }
    let status = statuses(report, fields);
    let values = texts(report, fields, "values");
    let at = fields.parsed(report, "at", scalar::pointer);
    let wait = fields.duration(report, "wait");
    let hint = fields.parsed(report, "hint", scalar::printable(300)).unwrap_or_default();
    let class = fields.choice(report, "class", &CLASSES)?;
    let body = at.map(|at| BodyTest { at, values, or_absent: false });
    Some(ErrorRule { status, body, class, wait, hint })
}

fn wait(report: &mut Report, fields: &Fields<'_, '_>) -> Option<WaitHint> {
    let header = fields.parsed(report, "header", |text| match is_header(text) {
        true => Ok(text.to_owned()),
        false => Err(Refusal::because("not the name of a header")),
    });
    let unit = fields.choice(report, "unit", &UNITS).unwrap_or(Unit::Seconds);
    let min = fields.duration(report, "min").unwrap_or_default();
    let max = fields.duration(report, "max").unwrap_or(Duration::from_secs(3_600));
    if min > max {
        report.error(fields.place_of("min"), "`min` is more than `max`");
    }
    Some(WaitHint { header: header?, unit, min, max })
}

fn statuses(report: &mut Report, fields: &Fields<'_, '_>) -> Vec<StatusPattern> {
    let mut statuses = Vec::new();
    fields.not_empty(report, "status");
    for (text, node) in fields.texts(report, "status") {
        match scalar::status(text) {
            Ok(status) => statuses.push(status),
            Err(_) => {
                report.error(node.place, "expected an HTTP status such as `401` or `5xx`");
            }
        }
    }
    statuses
}

fn pointers(report: &mut Report, fields: &Fields<'_, '_>, key: &str) -> Vec<String> {
    let mut pointers = Vec::new();
    fields.not_empty(report, key);
    for (text, node) in fields.texts(report, key) {
        match scalar::pointer(text) {
            Ok(pointer) => pointers.push(pointer),
            Err(refusal) => {
                let message = refusal
                    .message
                    .unwrap_or_else(|| "expected a JSON pointer such as `/data/token`".to_owned());
                report.error(node.place, message).hint = refusal.hint;
            }
        }
    }
    pointers
}

fn texts(report: &mut Report, fields: &Fields<'_, '_>, key: &str) -> Vec<String> {
    fields.not_empty(report, key);
    fields.texts(report, key).into_iter().map(|(text, _)| text.to_owned()).collect()
}

fn each<T>(
    report: &mut Report,
    fields: &Fields<'_, '_>,
    key: &str,
    shape: &'static Shape,
    mut read: impl FnMut(&mut Report, &Fields<'_, '_>) -> Option<T>,
) -> Vec<T> {
    let mut items = Vec::new();
    for node in fields.items(report, key) {
        if let Some(own) = Fields::read(report, shape, node, node.place) {
            items.extend(read(report, &own));
        }
    }
    items
}
