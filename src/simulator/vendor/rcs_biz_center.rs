//! `rcs-biz-center`: RCS Biz Center API 1.1, "토큰" (vendor document 001 and its OpenAPI).

use serde_json::json;

use super::{Answer, Ask, Call, Form, Grantee, Marks, Refusal, Reuse, mint, text};
use crate::simulator::{
    clock::{later, seoul, whole_millisecond},
    world::World,
};

/// The OpenAPI's `maxLength` of the two fields.
const CLIENT_ID: usize = 20;
const CLIENT_SECRET: usize = 18;

const DATE: &str = "%Y-%m-%d %H:%M:%S";

/// `{clientId, clientSecret}`, both within their lengths.
pub(super) fn read(call: &Call) -> Result<Ask, Refusal> {
    let body = call.json()?;
    let (id, secret) = (text(&body, "clientId")?, text(&body, "clientSecret")?);
    if id.chars().count() > CLIENT_ID || secret.chars().count() > CLIENT_SECRET {
        return Err(Refusal::Malformed);
    }
    Ok(Ask { account: Some(id), secret: Some(secret), ..Ask::default() })
}

/// `expiresIn` is the absolute end in epoch milliseconds, as a text. The token is a JWT without `exp`, with the
/// sample's claims.
pub(super) fn grant(world: &mut World, call: &Call, grantee: &Grantee) -> Answer {
    let account = grantee.account.as_str();
    let ends = |now, life| whole_millisecond(later(now, life));
    let minted = mint(world, call, account, Reuse::Never, ends, |world, issued, expires| {
        let claims = json!({
            "subAgncyId": "",
            "isSubAgency": "n",
            "expireDate": seoul(expires, DATE),
            "userId": account,
            "allowIp": call.address.map_or_else(|| "127.0.0.1".to_owned(), |address| address.to_string()),
            "createDate": seoul(issued, DATE),
            // Not in the sample; two tokens of one second would be the same without it.
            "nonce": world.ledger.nonce(),
        });
        world.signer.sign(&json!({"alg": "HS256"}), &claims)
    });
    let expires = call.on_vendor_clock(minted.expires_at).as_millisecond().to_string();
    let marks =
        Marks { token: "/accessToken", refresh: None, expiry: &[("/expiresIn", Form::EpochMillisText)] };
    Answer::granted(json!({"expiresIn": expires, "accessToken": minted.token}), marks)
}

/// `{error: {code, message}, status}`. Only 61006 is on the page; the other codes are the simulator's.
pub(super) fn refuse(refusal: Refusal) -> Answer {
    let (status, code, message) = match refusal {
        Refusal::Malformed | Refusal::WrongGrant => (400, "61001", "Invalid parameter"),
        Refusal::UnknownAccount => (401, "61004", "Unknown client id"),
        Refusal::Unauthenticated | Refusal::WrongSecret | Refusal::DeadRefreshToken => {
            (401, "61006", "Invalid secret key")
        }
        Refusal::Address => (401, "61007", "Not allowed client ip"),
        Refusal::Busy => (503, "50300", "Service unavailable"),
        Refusal::Throttled { .. } => (429, "42900", "Too many requests"),
    };
    Answer::refused(status, json!({"error": {"code": code, "message": message}, "status": status}))
}
