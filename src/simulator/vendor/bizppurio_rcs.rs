//! `bizppurio-rcs`: Bizppurio's RCS API, "토큰 생성 API" (vendor document 000; the refresh as the newer page has it).

use serde_json::{Value, json};

use super::{
    Answer, Ask, Call, Form, Grantee, Marks, Refusal, Reuse, mint, mint_refresh, on_the_second, text,
};
use crate::simulator::{provider::Operation, world::World};

const OBJECT: Marks = Marks {
    token: "/data/accessToken",
    refresh: Some("/data/refreshToken"),
    expiry: &[("/data/expiresIn", Form::Epoch)],
};
const ARRAY: Marks = Marks {
    token: "/data/0/accessToken",
    refresh: Some("/data/0/refreshToken"),
    expiry: &[("/data/0/expiresIn", Form::Epoch)],
};

/// `{bizId, apiKey}`, or `{accessToken, refreshToken}`. A `brandKey`, which document 000 pastes from another call,
/// is a malformed request: no client may send it here.
pub(super) fn read(call: &Call) -> Result<Ask, Refusal> {
    let body = call.json()?;
    if body.get("brandKey").is_some() {
        return Err(Refusal::Malformed);
    }
    Ok(match call.operation {
        Operation::Issue => Ask {
            account: Some(text(&body, "bizId")?),
            secret: Some(text(&body, "apiKey")?),
            ..Ask::default()
        },
        Operation::Refresh => Ask {
            access_token: Some(text(&body, "accessToken")?),
            refresh_token: Some(text(&body, "refreshToken")?),
            ..Ask::default()
        },
    })
}

/// `expiresIn` is the absolute end in epoch seconds. From reply to reply `data` is an object or an array of one,
/// `code` is 200, "200" or "0000", and the expiry a number or a text: all of them are in the vendor's documents.
pub(super) fn grant(world: &mut World, call: &Call, grantee: &Grantee) -> Answer {
    let minted =
        mint(world, call, &grantee.account, Reuse::Never, on_the_second, |world, _, _| world.ledger.nonce());
    let refresh_token = mint_refresh(world, call, grantee, |world, _, _| world.ledger.nonce());
    let expires = call.on_vendor_clock(minted.expires_at).as_second();
    let turn = call.turn;
    let expires =
        if turn.is_multiple_of(2) { Value::from(expires) } else { Value::from(expires.to_string()) };
    let data = json!({"accessToken": minted.token, "expiresIn": expires, "refreshToken": refresh_token});
    let code = match turn % 3 {
        0 => Value::from(200),
        1 => Value::from("200"),
        _ => Value::from("0000"),
    };
    if (turn / 2).is_multiple_of(2) {
        Answer::granted(json!({"code": code, "data": data}), OBJECT)
    } else {
        Answer::granted(json!({"code": code, "message": "success", "data": [data]}), ARRAY)
    }
}

/// The HTTP status and the body's `code` agree.
pub(super) fn refuse(refusal: Refusal) -> Answer {
    let (status, message) = match refusal {
        Refusal::Malformed | Refusal::WrongGrant => (400, "Bad request"),
        Refusal::Unauthenticated | Refusal::UnknownAccount | Refusal::WrongSecret => {
            (401, "Invalid bizId or apiKey")
        }
        Refusal::DeadRefreshToken => (401, "Invalid refresh token"),
        Refusal::Address => (403, "Not allowed address"),
        Refusal::Busy => (503, "Service unavailable"),
        Refusal::Throttled { .. } => (429, "Too many requests"),
    };
    Answer::refused(status, json!({"code": status.to_string(), "message": message}))
}
