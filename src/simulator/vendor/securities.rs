//! `kiwoom` (Kiwoom REST API, au10001 "접근토큰 발급") and `kis` (Korea Investment & Securities, "접근토큰발급(P)").

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Answer, Ask, Call, Form, Grantee, Marks, Refusal, Reuse, mint, on_the_second, text};
use crate::simulator::{
    clock::{millis_between, seoul},
    world::World,
};

const EXPIRES_DT: &str = "%Y%m%d%H%M%S";
const TOKEN_EXPIRED: &str = "%Y-%m-%d %H:%M:%S";

/// `{grant_type: client_credentials, appkey, secretkey}`.
pub(super) fn read_kiwoom(call: &Call) -> Result<Ask, Refusal> {
    read(call, "secretkey")
}

/// `expires_dt` is a wall-clock time in Seoul; `return_code` 0 stands for success.
pub(super) fn grant_kiwoom(world: &mut World, call: &Call, grantee: &Grantee) -> Answer {
    let minted =
        mint(world, call, &grantee.account, Reuse::Never, on_the_second, |world, _, _| world.ledger.nonce());
    let body = json!({
        "return_code": 0,
        "return_msg": "정상적으로 처리되었습니다",
        "token": minted.token,
        "token_type": "Bearer",
        "expires_dt": seoul(call.on_vendor_clock(minted.expires_at), EXPIRES_DT),
    });
    let marks = Marks { token: "/token", refresh: None, expiry: &[("/expires_dt", Form::Seoul(EXPIRES_DT))] };
    Answer::granted(body, marks)
}

/// HTTP 200 with another `return_code` than 0.
pub(super) fn refuse_kiwoom(refusal: Refusal) -> Answer {
    let (code, message) = match refusal {
        Refusal::Malformed | Refusal::WrongGrant => (1511, "필수 입력 값이 존재하지 않습니다"),
        Refusal::Unauthenticated
        | Refusal::UnknownAccount
        | Refusal::WrongSecret
        | Refusal::DeadRefreshToken => (8001, "App Key와 Secret Key 검증에 실패했습니다"),
        Refusal::Address => (8010, "Token을 발급받은 IP와 서비스를 요청한 IP가 동일하지 않습니다"),
        Refusal::Busy => (1999, "예기치 못한 에러가 발생했습니다"),
        Refusal::Throttled { .. } => (1700, "허용된 요청 개수를 초과하였습니다"),
    };
    Answer::refused(200, json!({"return_code": code, "return_msg": message}))
}

/// `{grant_type: client_credentials, appkey, appsecret}`.
pub(super) fn read_kis(call: &Call) -> Result<Ask, Refusal> {
    read(call, "appsecret")
}

/// The end both as a wall-clock time in Seoul and as seconds from now. The vendor repeats a token of 24 h for 6 h:
/// a quarter of its life.
pub(super) fn grant_kis(world: &mut World, call: &Call, grantee: &Grantee) -> Answer {
    let account = grantee.account.as_str();
    let reuse = Reuse::AQuarterOfItsLife;
    let minted = mint(world, call, account, reuse, on_the_second, |world, issued, expires| {
        // The real token is a JWT too.
        let claims = json!({
            "sub": "token",
            "aud": account,
            "iss": "unogw",
            "exp": expires.as_second(),
            "iat": issued.as_second(),
            "jti": world.ledger.nonce(),
        });
        world.signer.sign(&json!({"typ": "JWT", "alg": "HS512"}), &claims)
    });
    let body = json!({
        "access_token": minted.token,
        "access_token_token_expired": seoul(call.on_vendor_clock(minted.expires_at), TOKEN_EXPIRED),
        "token_type": "Bearer",
        "expires_in": seconds_left(call.now, minted.expires_at),
    });
    let marks = Marks {
        token: "/access_token",
        refresh: None,
        expiry: &[
            ("/access_token_token_expired", Form::Seoul(TOKEN_EXPIRED)),
            ("/expires_in", Form::Seconds),
        ],
    };
    Answer::granted(body, marks)
}

/// `{error_description, error_code}` under 403.
pub(super) fn refuse_kis(refusal: Refusal) -> Answer {
    let (status, code, description) = match refusal {
        Refusal::Malformed | Refusal::WrongGrant => (403, "EGW00101", "유효하지 않은 요청입니다."),
        Refusal::UnknownAccount => (403, "EGW00103", "유효하지 않은 AppKey입니다."),
        Refusal::Unauthenticated | Refusal::WrongSecret | Refusal::DeadRefreshToken => {
            (403, "EGW00105", "유효하지 않은 AppSecret입니다.")
        }
        Refusal::Address => (403, "EGW00104", "허용되지 않은 접근입니다."),
        Refusal::Busy => (500, "EGW00001", "일시적 오류가 발생했습니다."),
        Refusal::Throttled { .. } => (403, "EGW00133", "접근토큰 발급 잠시 후 다시 시도하세요(1분당 1회)"),
    };
    Answer::refused(status, json!({"error_description": description, "error_code": code}))
}

fn read(call: &Call, secret: &str) -> Result<Ask, Refusal> {
    let body = call.json()?;
    if body.get("grant_type").and_then(Value::as_str) != Some("client_credentials") {
        return Err(Refusal::WrongGrant);
    }
    Ok(Ask { account: Some(text(&body, "appkey")?), secret: Some(text(&body, secret)?), ..Ask::default() })
}

/// Rounded down, so that no client counts on a moment that is not there.
fn seconds_left(now: Timestamp, end: Timestamp) -> u64 {
    Duration::from_millis(millis_between(now, end)).as_secs()
}
