//! Faults inside a reply: the token, its expiry, the text.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    clock::{later, seoul, shifted},
    fault::{BodyFault, ExpiryFault, Fault, TokenFault},
    signer,
    vendor::{Answer, Call, Form, Marks},
    world::World,
};

const HUGE_TOKEN: usize = 10 * 1024 * 1024;
/// 9999-12-31T23:59:59Z.
const YEAR_9999: i64 = 253_402_300_799;
const TWO_POW_63: u64 = 1 << 63;

/// The body's text after the call's fault. Errors carry neither token nor expiry and stay as they are.
pub(super) fn body(world: &mut World, call: &Call, answer: &mut Answer) -> String {
    if let Some(marks) = answer.marks {
        match &call.fault {
            Some(Fault::Token(fault)) => token(&mut answer.body, marks.token, *fault),
            Some(Fault::RefreshMissing) => {
                if let Some(refresh) = marks.refresh {
                    remove(&mut answer.body, refresh);
                }
            }
            Some(Fault::Expiry(fault)) => expiry(world, call, &mut answer.body, marks, *fault),
            _ => {}
        }
    }
    let text = answer.body.to_string();
    match &call.fault {
        Some(Fault::Body(BodyFault::Empty)) => String::new(),
        Some(Fault::Body(BodyFault::Truncated)) => text.chars().take(text.chars().count() * 2 / 3).collect(),
        Some(Fault::Body(BodyFault::DuplicateKeys)) => duplicated(&text, answer.marks),
        _ => text,
    }
}

fn token(body: &mut Value, at: &str, fault: TokenFault) {
    let Some(token) = body.pointer_mut(at) else { return };
    let spoilt = |extra: &str| Value::from(format!("{}{extra}", token.as_str().unwrap_or_default()));
    *token = match fault {
        TokenFault::Empty => Value::from(""),
        TokenFault::Null => Value::Null,
        TokenFault::Number => Value::from(42),
        TokenFault::Newline => spoilt("\nX-Injected: yes"),
        TokenFault::Control => spoilt("\u{7}\u{1b}[2J"),
        TokenFault::Huge => Value::from("A".repeat(HUGE_TOKEN)),
        TokenFault::Same => return,
        TokenFault::Missing => return remove(body, at),
    };
}

fn expiry(world: &mut World, call: &Call, body: &mut Value, marks: Marks, fault: ExpiryFault) {
    for (at, form) in marks.expiry {
        if *form == Form::JwtExp {
            jwt_expiry(world, call, body, at, fault);
            continue;
        }
        let Some(place) = body.pointer_mut(at) else { continue };
        match spoilt_expiry(world, call, place, *form, fault) {
            Some(value) => *place = value,
            None => remove(body, at),
        }
    }
}

/// Signs the token anew with another `exp`; the books know it under both texts.
fn jwt_expiry(world: &mut World, call: &Call, body: &mut Value, at: &str, fault: ExpiryFault) {
    let Some(place) = body.pointer_mut(at) else { return };
    let Some(old) = place.as_str().map(ToOwned::to_owned) else { return };
    let Some((header, mut claims)) = signer::parts(&old) else { return };
    match claims.get_mut("exp").and_then(|exp| spoilt_expiry(world, call, exp, Form::Epoch, fault)) {
        Some(value) => claims["exp"] = value,
        None => remove(&mut claims, "/exp"),
    }
    let new = world.signer.sign(&header, &claims);
    world.ledger.alias(call.provider, &old, &new);
    *place = Value::from(new);
}

/// The expiry as the fault has it; `None` is none at all.
fn spoilt_expiry(world: &World, call: &Call, was: &Value, form: Form, fault: ExpiryFault) -> Option<Value> {
    let like = |number: Value| if was.is_string() { Value::from(number.to_string()) } else { number };
    let now = call.vendor_now();
    Some(match fault {
        ExpiryFault::Missing => return None,
        ExpiryFault::Zero => like(json!(0)),
        ExpiryFault::Negative => like(json!(-1)),
        ExpiryFault::TwoPow63 => like(json!(TWO_POW_63)),
        ExpiryFault::Text => match was {
            Value::String(text) => text.parse::<i64>().map_or(Value::Null, Value::from),
            other => Value::from(other.to_string()),
        },
        ExpiryFault::Float => match was {
            Value::String(text) => Value::from(format!("{text}.0")),
            other => json!(other.as_f64().unwrap_or_default()),
        },
        ExpiryFault::Milliseconds => match was {
            Value::String(text) => Value::from(format!("{text}000")),
            other => json!(other.as_i64().unwrap_or_default().saturating_mul(1_000)),
        },
        ExpiryFault::Year9999 => match form {
            Form::Seconds => json!(YEAR_9999 - now.as_second()),
            Form::EpochMillisText => like(json!(YEAR_9999 * 1_000)),
            Form::Seoul(format) if format.contains('-') => json!("9999-12-31 23:59:59"),
            Form::Seoul(_) => json!("99991231235959"),
            Form::Epoch | Form::JwtExp => like(json!(YEAR_9999)),
        },
        ExpiryFault::Past => written(shifted(now, SignedDuration::from_hours(-1)), now, form, &like),
        ExpiryFault::Sooner => {
            written(later(now, world.options.lifetime_of(call.provider) / 10), now, form, &like)
        }
    })
}

fn written(at: jiff::Timestamp, now: jiff::Timestamp, form: Form, like: &dyn Fn(Value) -> Value) -> Value {
    match form {
        Form::Seconds => json!(at.as_second() - now.as_second()),
        Form::EpochMillisText => json!(at.as_millisecond().to_string()),
        Form::Seoul(format) => json!(seoul(at, format)),
        Form::Epoch | Form::JwtExp => like(json!(at.as_second())),
    }
}

/// The token's key twice, with another token first: readers that take the last see nothing wrong.
fn duplicated(text: &str, marks: Option<Marks>) -> String {
    let name = marks.and_then(|marks| marks.token.rsplit('/').next()).unwrap_or("code");
    let key = format!("\"{name}\":");
    text.replacen(&key, &format!("{key}\"duplicate\",{key}"), 1)
}

fn remove(body: &mut Value, at: &str) {
    let Some((parent, name)) = at.rsplit_once('/') else { return };
    if let Some(Value::Object(parent)) = body.pointer_mut(parent) {
        parent.remove(name);
    }
}
