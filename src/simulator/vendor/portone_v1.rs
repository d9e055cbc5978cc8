//! `portone-v1`: PortOne REST API V1, "access_token 발급" (`api.iamport.kr`).

use serde_json::{Value, json};

use super::{Answer, Ask, Call, Form, Grantee, Marks, Refusal, Reuse, mint, on_the_second, text};
use crate::simulator::world::World;

/// `{imp_key, imp_secret}`.
pub(super) fn read(call: &Call) -> Result<Ask, Refusal> {
    let body = call.json()?;
    Ok(Ask {
        account: Some(text(&body, "imp_key")?),
        secret: Some(text(&body, "imp_secret")?),
        ..Ask::default()
    })
}

/// `expired_at` and `now` are epoch seconds of the vendor's clock. The same token comes back until it ends.
pub(super) fn grant(world: &mut World, call: &Call, grantee: &Grantee) -> Answer {
    let account = grantee.account.as_str();
    let minted =
        mint(world, call, account, Reuse::UntilItEnds, on_the_second, |world, _, _| world.ledger.nonce());
    let body = json!({
        "code": 0,
        "message": Value::Null,
        "response": {
            "access_token": minted.token,
            "now": call.vendor_now().as_second(),
            "expired_at": call.on_vendor_clock(minted.expires_at).as_second(),
        },
    });
    let marks = Marks {
        token: "/response/access_token",
        refresh: None,
        expiry: &[("/response/expired_at", Form::Epoch)],
    };
    Answer::granted(body, marks)
}

/// `{code: -1, message, response: null}` under the fitting status.
pub(super) fn refuse(refusal: Refusal) -> Answer {
    let (status, message) = match refusal {
        Refusal::Malformed | Refusal::WrongGrant => (400, "imp_key, imp_secret 파라메터가 누락되었습니다."),
        Refusal::Unauthenticated
        | Refusal::UnknownAccount
        | Refusal::WrongSecret
        | Refusal::DeadRefreshToken => {
            (401, "imp_key, imp_secret 인증에 실패하였습니다. API키와 secret을 확인하세요.")
        }
        Refusal::Address => (403, "허용되지 않은 접근입니다."),
        Refusal::Busy => (503, "Service unavailable"),
        Refusal::Throttled { .. } => (429, "Too many requests"),
    };
    Answer::refused(status, json!({"code": -1, "message": message, "response": Value::Null}))
}
