//! `bizppurio`: the token operation of Bizppurio's message API, "인증토큰 발급" (vendor documents 002 and 003).

use serde_json::{Value, json};

use super::{Answer, Ask, Call, Form, Grantee, Marks, Refusal, Reuse, mint, on_the_second};
use crate::simulator::{clock::seoul, world::World};

const EXPIRED: &str = "%Y%m%d%H%M%S";

/// Basic authentication and no body; the `Content-type` header is required.
pub(super) fn read(call: &Call) -> Result<Ask, Refusal> {
    if !call.content_type_is("application/json") {
        return Err(Refusal::Malformed);
    }
    let (account, password) = call.basic().ok_or(Refusal::Unauthenticated)?;
    if account.is_empty() || password.is_empty() {
        return Err(Refusal::Unauthenticated);
    }
    Ok(Ask { account: Some(account), secret: Some(password), ..Ask::default() })
}

/// `expired` is a wall-clock time in Seoul in whole seconds. The token is a JWT like the sample: its `exp` is a text
/// of milliseconds in 2017, which no client may take seriously.
pub(super) fn grant(world: &mut World, call: &Call, grantee: &Grantee) -> Answer {
    let account = grantee.account.as_str();
    let minted = mint(world, call, account, Reuse::Never, on_the_second, |world, _, _| {
        let claims = json!({
            "iss": "bizppurio.com",
            "exp": "1485270000000",
            "userId": world.ledger.nonce(),
            "username": account,
        });
        world.signer.sign(&json!({"typ": "JWT", "alg": "HS256"}), &claims)
    });
    let body = json!({
        "accesstoken": minted.token,
        "type": "Bearer",
        "expired": seoul(call.on_vendor_clock(minted.expires_at), EXPIRED),
    });
    let marks = Marks { token: "/accesstoken", refresh: None, expiry: &[("/expired", Form::Seoul(EXPIRED))] };
    Answer::granted(body, marks)
}

/// HTTP 400 for nearly everything; the `code` tells, as a number or as a text.
pub(super) fn refuse(call: &Call, refusal: Refusal) -> Answer {
    let (status, code, description) = match refusal {
        Refusal::Malformed | Refusal::WrongGrant | Refusal::DeadRefreshToken => {
            (400, 2000, "invalid request")
        }
        Refusal::Unauthenticated => (400, 3001, "invalid basic authorization"),
        Refusal::UnknownAccount => (400, 3006, "invalid account in bizppurio"),
        Refusal::WrongSecret => (400, 3007, "invalid password in bizppurio"),
        Refusal::Address => (400, 3010, "not allowed client ip"),
        Refusal::Busy => (400, 3008, "too many connections"),
        Refusal::Throttled { .. } => (429, 5002, "too many requests"),
    };
    let as_text = call.turn.is_multiple_of(2);
    let code = if as_text { Value::from(code.to_string()) } else { Value::from(code) };
    let answer = Answer::refused(status, json!({"code": code, "description": description}));
    match refusal {
        // Documented in milliseconds, sampled as a fraction of a second.
        Refusal::Throttled { .. } => answer.with_header("RateLimit-Reset", "0.299"),
        _ => answer,
    }
}
