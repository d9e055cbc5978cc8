//! The vendors: one way through all of them, and a file each for what they read, grant and refuse.
//!
//! A vendor is three functions: `read` takes a request apart, `grant` renders a token, `refuse` words an error.
//! What lies between (credentials, refresh tokens, limits) is the same for all and stands here.

mod bizppurio;
mod bizppurio_napi;
mod bizppurio_rcs;
mod check;
mod idempotency;
mod mint;
mod oauth;
mod portone;
mod portone_v1;
mod rcs_biz_center;
mod securities;

use std::{net::IpAddr, time::Duration};

use axum::http::HeaderMap;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    clock::shifted,
    fault::{Fault, Refused},
    identity_of_secret,
    ledger::RefreshStanding,
    provider::{Operation, Provider},
    stats::Outcome,
    world::World,
};
pub(super) use idempotency::{Key, Keys};

use check::{check_credentials, check_refresh_token};
use mint::{Reuse, after_whole_seconds, mint, mint_refresh, on_the_second};

/// A token request as it came in.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) provider: Provider,
    pub(super) operation: Operation,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) address: Option<IpAddr>,
    /// The machine's clock.
    pub(super) now: Timestamp,
    /// How far the vendor's clock is ahead of it.
    pub(super) skew: SignedDuration,
    pub(super) fault: Option<Fault>,
    /// The how-manieth request this is: what alternates a vendor's inconsistencies from reply to reply.
    pub(super) turn: u64,
}

/// What a request says, whatever its form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) account: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) refresh_token: Option<String>,
    /// The access token that a `bizppurio-rcs` refresh sends along.
    pub(super) access_token: Option<String>,
    /// OAuth 2.0 only.
    pub(super) scope: Option<String>,
}

/// Whom a token is granted to.
#[derive(Clone, Debug)]
pub(super) struct Grantee {
    pub(super) account: String,
    pub(super) family: Option<u64>,
    pub(super) scope: Option<String>,
}

/// Why a vendor says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A missing field, a wrong content type, no JSON ...
    Malformed,
    /// OAuth 2.0: another grant than the endpoint's.
    WrongGrant,
    /// No credentials, or in no form that the vendor reads.
    Unauthenticated,
    UnknownAccount,
    WrongSecret,
    DeadRefreshToken,
    Address,
    Busy,
    Throttled {
        wait: Duration,
    },
}

/// A reply before faults are applied to it.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
    /// Where the token and its expiry stand; `None` in errors.
    pub(super) marks: Option<Marks>,
}

/// JSON pointers into a reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    pub(super) token: &'static str,
    pub(super) refresh: Option<&'static str>,
    pub(super) expiry: &'static [(&'static str, Form)],
}

/// How an expiry is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Seconds from now, a number.
    Seconds,
    /// Absolute seconds, a number or a text.
    Epoch,
    /// Absolute milliseconds, a text.
    EpochMillisText,
    /// A wall-clock time in Seoul in this format.
    Seoul(&'static str),
    /// The `exp` claim of the token at this place.
    JwtExp,
}

/// What became of a request inside the vendor.
pub(super) struct Processed {
    pub(super) answer: Answer,
    pub(super) outcome: Outcome,
    /// The idempotency key whose reply is under way.
    pub(super) key: Option<Key>,
}

impl Call {
    /// The vendor's clock.
    pub(super) fn vendor_now(&self) -> Timestamp {
        shifted(self.now, self.skew)
    }

    /// An instant of the machine on the vendor's clock.
    pub(super) fn on_vendor_clock(&self, at: Timestamp) -> Timestamp {
        shifted(at, self.skew)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as a JSON object, if the content type says so too.
    fn json(&self) -> Result<Value, Refusal> {
        if !self.content_type_is("application/json") {
            return Err(Refusal::Malformed);
        }
        let value: Value = serde_json::from_slice(&self.body).map_err(|_| Refusal::Malformed)?;
        if value.is_object() { Ok(value) } else { Err(Refusal::Malformed) }
    }

    fn content_type_is(&self, wanted: &str) -> bool {
        self.header("content-type")
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted))
    }

    /// Account and password of an `Authorization: Basic` header (RFC 7617), as sent.
    fn basic(&self) -> Option<(String, String)> {
        let (scheme, encoded) = self.header("authorization")?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (account, password) = decoded.split_once(':')?;
        Some((account.to_owned(), password.to_owned()))
    }
}

/// Who asks, as far as the request or the books tell: `unknown` otherwise.
pub(super) fn account_of(world: &World, call: &Call) -> String {
    let Ok(ask) = read(call) else { return "unknown".to_owned() };
    let by_refresh_token = ask.refresh_token.as_deref().and_then(|token| {
        match world.ledger.refresh_standing(call.provider, token, call.now) {
            RefreshStanding::Live { account, .. }
            | RefreshStanding::Dead { account, .. }
            | RefreshStanding::Expired { account } => Some(account),
            RefreshStanding::Unknown => None,
        }
    });
    ask.account
        .or(by_refresh_token)
        .or_else(|| ask.secret.as_deref().map(identity_of_secret))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// The vendor's whole handling of a token request.
pub(super) fn process(world: &mut World, call: &Call) -> Processed {
    let key = match idempotency::enter(world, call) {
        idempotency::Entered::Unasked => None,
        idempotency::Entered::First(key) => Some(key),
        idempotency::Entered::Answered(answer) => {
            let outcome = if answer.marks.is_some() { Outcome::Granted } else { Outcome::OtherRefusal };
            return Processed { answer, outcome, key: None };
        }
    };
    let (answer, outcome) = match decide(world, call) {
        Ok(grantee) => (grant(world, call, &grantee), Outcome::Granted),
        Err(refusal) => (refuse(call, refusal), refusal.outcome()),
    };
    if let Some(key) = &key {
        world.keys.store(key, &answer);
    }
    Processed { answer, outcome, key }
}

fn decide(world: &mut World, call: &Call) -> Result<Grantee, Refusal> {
    let ask = read(call)?;
    let rejected = match call.operation {
        Operation::Issue => Refusal::WrongSecret,
        Operation::Refresh => Refusal::DeadRefreshToken,
    };
    match call.fault {
        Some(Fault::ErrorInOk | Fault::Refused(Refused::Rejected)) => return Err(rejected),
        Some(Fault::Refused(Refused::Address)) => return Err(Refusal::Address),
        Some(Fault::Refused(Refused::Busy)) => return Err(Refusal::Busy),
        Some(Fault::Refused(Refused::Throttled)) => {
            return Err(Refusal::Throttled { wait: Duration::from_secs(2) });
        }
        _ => {}
    }
    if let Some(wait) = world.over_the_vendors_limit(call, ask.account.as_deref()) {
        return Err(Refusal::Throttled { wait });
    }
    if let Some(secret) = &ask.secret {
        check_credentials(world, call.provider, ask.account.as_deref(), secret)?;
    }
    let (account, family) = match &ask.refresh_token {
        Some(token) => {
            let (account, family) = check_refresh_token(world, call, &ask, token)?;
            (account, Some(family))
        }
        None => {
            let secret = ask.secret.as_deref().ok_or(Refusal::Unauthenticated)?;
            (ask.account.clone().unwrap_or_else(|| identity_of_secret(secret)), None)
        }
    };
    Ok(Grantee { account, family, scope: ask.scope })
}

fn read(call: &Call) -> Result<Ask, Refusal> {
    match call.provider {
        Provider::Bizppurio => bizppurio::read(call),
        Provider::BizppurioRcs => bizppurio_rcs::read(call),
        Provider::BizppurioNapi => bizppurio_napi::read(call),
        Provider::RcsBizCenter => rcs_biz_center::read(call),
        Provider::PortOne => portone::read(call),
        Provider::PortOneV1 => portone_v1::read(call),
        Provider::OAuthClientCredentials | Provider::OAuthRefreshToken => oauth::read(call),
        Provider::Kiwoom => securities::read_kiwoom(call),
        Provider::Kis => securities::read_kis(call),
    }
}

fn grant(world: &mut World, call: &Call, grantee: &Grantee) -> Answer {
    match call.provider {
        Provider::Bizppurio => bizppurio::grant(world, call, grantee),
        Provider::BizppurioRcs => bizppurio_rcs::grant(world, call, grantee),
        Provider::BizppurioNapi => bizppurio_napi::grant(world, call, grantee),
        Provider::RcsBizCenter => rcs_biz_center::grant(world, call, grantee),
        Provider::PortOne => portone::grant(world, call, grantee),
        Provider::PortOneV1 => portone_v1::grant(world, call, grantee),
        Provider::OAuthClientCredentials | Provider::OAuthRefreshToken => oauth::grant(world, call, grantee),
        Provider::Kiwoom => securities::grant_kiwoom(world, call, grantee),
        Provider::Kis => securities::grant_kis(world, call, grantee),
    }
}

fn refuse(call: &Call, refusal: Refusal) -> Answer {
    match call.provider {
        Provider::Bizppurio => bizppurio::refuse(call, refusal),
        Provider::BizppurioRcs => bizppurio_rcs::refuse(refusal),
        Provider::BizppurioNapi => bizppurio_napi::refuse(refusal),
        Provider::RcsBizCenter => rcs_biz_center::refuse(refusal),
        Provider::PortOne => portone::refuse(refusal),
        Provider::PortOneV1 => portone_v1::refuse(refusal),
        Provider::OAuthClientCredentials | Provider::OAuthRefreshToken => oauth::refuse(call, refusal),
        Provider::Kiwoom => securities::refuse_kiwoom(refusal),
        Provider::Kis => securities::refuse_kis(refusal),
    }
}

impl Refusal {
    fn outcome(self) -> Outcome {
        match self {
            Self::WrongSecret | Self::UnknownAccount | Self::Unauthenticated => Outcome::BadCredentials,
            Self::DeadRefreshToken => Outcome::DeadRefreshToken,
            Self::Malformed | Self::WrongGrant | Self::Address | Self::Busy | Self::Throttled { .. } => {
                Outcome::OtherRefusal
            }
        }
    }
}

impl Answer {
    fn granted(body: Value, marks: Marks) -> Self {
        Self { status: 200, headers: Vec::new(), body, marks: Some(marks) }
    }

    fn refused(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body, marks: None }
    }

    fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A field of a JSON object that is a text with something in it.
fn text(body: &Value, field: &str) -> Result<String, Refusal> {
    match body.get(field).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Refusal::Malformed),
    }
}
