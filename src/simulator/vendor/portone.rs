//! `portone`: PortOne REST API V2, "API secret 를 사용한 토큰 발급" and "토큰 갱신" (vendor document 004, OpenAPI 1.16).

use serde_json::{Value, json};

use super::{
    Answer, Ask, Call, Form, Grantee, Marks, Refusal, Reuse, mint, mint_refresh, on_the_second, text,
};
use crate::simulator::{
    provider::{Operation, Provider},
    world::World,
};

/// `{apiSecret}`, or `{refreshToken}`.
pub(super) fn read(call: &Call) -> Result<Ask, Refusal> {
    let body = call.json()?;
    Ok(match call.operation {
        Operation::Issue => Ask { secret: Some(text(&body, "apiSecret")?), ..Ask::default() },
        Operation::Refresh => Ask { refresh_token: Some(text(&body, "refreshToken")?), ..Ask::default() },
    })
}

/// Both tokens are JWTs (ES256) and the only place where their ends stand. A login as well as a refresh ends every
/// former refresh token of the same secret at once.
pub(super) fn grant(world: &mut World, call: &Call, grantee: &Grantee) -> Answer {
    let account = grantee.account.as_str();
    world.ledger.end_refresh_of(Provider::PortOne, account);
    let minted = mint(world, call, account, Reuse::Never, on_the_second, |world, issued, expires| {
        let claims = json!({
            "user_id": account,
            "iss": "IAMPORT",
            "exp": expires.as_second(),
            "custom_payload": {"merchant_id": "merchant-simulated", "store_id": "store-simulated"},
            // Not in the sample; HS256 would make two tokens of one second the same without it.
            "jti": world.ledger.nonce(),
            "iat": issued.as_second(),
        });
        world.signer.sign(&header(), &claims)
    });
    let refresh_token = mint_refresh(world, call, grantee, |world, issued, expires| {
        let claims = json!({
            "salt": world.ledger.nonce(),
            "user_id": account,
            "iss": "IAMPORT",
            "exp": expires.as_second(),
            "iat": issued.as_second(),
        });
        world.signer.sign(&header(), &claims)
    });
    let marks = Marks {
        token: "/accessToken",
        refresh: Some("/refreshToken"),
        expiry: &[("/accessToken", Form::JwtExp)],
    };
    Answer::granted(json!({"accessToken": minted.token, "refreshToken": refresh_token}), marks)
}

/// `{type, message}`: 400 and 401 are in the OpenAPI.
pub(super) fn refuse(refusal: Refusal) -> Answer {
    let (status, kind, message) = match refusal {
        Refusal::Malformed | Refusal::WrongGrant => {
            (400, "INVALID_REQUEST", "요청된 입력 정보가 유효하지 않습니다.")
        }
        Refusal::Unauthenticated
        | Refusal::UnknownAccount
        | Refusal::WrongSecret
        | Refusal::DeadRefreshToken => (401, "UNAUTHORIZED", "인증 정보가 올바르지 않습니다."),
        Refusal::Address => (403, "FORBIDDEN", "요청이 거절되었습니다."),
        Refusal::Busy => (503, "SERVICE_UNAVAILABLE", "Service unavailable"),
        Refusal::Throttled { .. } => (429, "TOO_MANY_REQUESTS", "Too many requests"),
    };
    Answer::refused(status, json!({"type": kind, "message": message}))
}

fn header() -> Value {
    json!({"kid": "5b0c1d3e-simulator", "typ": "JWT", "alg": "ES256"})
}
