//! `bizppurio-napi`: Bizppurio's newer API, whose replies declare no expiry.

use serde_json::json;

use super::{Answer, Ask, Call, Grantee, Marks, Refusal, Reuse, mint, mint_refresh, on_the_second, text};
use crate::simulator::{provider::Operation, world::World};

/// `/token/refresh` takes `{bizId, apiKey}`, `/token/access` a `{refreshToken}`.
pub(super) fn read(call: &Call) -> Result<Ask, Refusal> {
    let body = call.json()?;
    Ok(match call.operation {
        Operation::Issue => Ask {
            account: Some(text(&body, "bizId")?),
            secret: Some(text(&body, "apiKey")?),
            ..Ask::default()
        },
        Operation::Refresh => Ask { refresh_token: Some(text(&body, "refreshToken")?), ..Ask::default() },
    })
}

/// Both tokens for credentials, an access token alone for a refresh token, which stays as it is.
pub(super) fn grant(world: &mut World, call: &Call, grantee: &Grantee) -> Answer {
    let minted =
        mint(world, call, &grantee.account, Reuse::Never, on_the_second, |world, _, _| world.ledger.nonce());
    let (data, refresh) = match call.operation {
        Operation::Issue => {
            let refresh_token = mint_refresh(world, call, grantee, |world, _, _| world.ledger.nonce());
            (json!({"refreshToken": refresh_token, "accessToken": minted.token}), Some("/data/refreshToken"))
        }
        Operation::Refresh => (json!({"accessToken": minted.token}), None),
    };
    let body = json!({"code": "200", "message": "success", "data": data});
    Answer::granted(body, Marks { token: "/data/accessToken", refresh, expiry: &[] })
}

/// HTTP 200 whatever happened, except 429: the body's `code` tells.
pub(super) fn refuse(refusal: Refusal) -> Answer {
    let (code, message) = match refusal {
        Refusal::Malformed | Refusal::WrongGrant => ("400", "요청 형식이 올바르지 않습니다."),
        Refusal::Unauthenticated
        | Refusal::UnknownAccount
        | Refusal::WrongSecret
        | Refusal::DeadRefreshToken => ("401", "인증 정보가 없습니다."),
        Refusal::Address => ("403", "허용되지 않은 접근입니다."),
        Refusal::Busy => ("500", "서버 오류입니다."),
        Refusal::Throttled { wait } => {
            let seconds = wait.as_millis().div_ceil(1_000).max(1);
            return Answer::refused(429, json!({"code": "429", "message": "요청이 너무 많습니다."}))
                .with_header("X-Rate-Limit-Retry-After-Seconds", seconds.to_string());
        }
    };
    Answer::refused(200, json!({"code": code, "message": message}))
}
