use super::*;
use crate::domain::{AccountId, ErrorClass, Generation, Timestamp};

#[tokio::test]
async fn a_renewal_whose_token_is_not_verified_says_why_in_its_answer() {
    let at = Timestamp::from_secs(1_700_000_000);
    let message = "`verify.url` answers HTTP 401".to_owned();
    let verified = Peek {
        name: AccountId::new("a").unwrap(),
        generation: Generation(2),
        expires_at: Some(at),
        finished: 1,
        asking: false,
        asking_then: false,
        held_until: None,
        waiting: None,
        error: None,
        unverified: None,
        delivering: false,
        undelivered: Vec::new(),
    };
    let why = Some(ErrorInfo { class: ErrorClass::Malformed, message, at });
    let unverified = Peek { unverified: why, ..verified.clone() };
    let mut said = Vec::new();
    for peek in [verified, unverified] {
        let response = renewed("a", &peek);
        assert_eq!(response.status(), StatusCode::OK);
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        said.push(body["unverified"]["message"].clone());
    }
    assert_eq!(said, [serde_json::Value::Null, "`verify.url` answers HTTP 401".into()]);
}
