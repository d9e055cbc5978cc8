//! What the tests of this layer share: a plain definition to bend, replies, and a way to read one with the other.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Failure, Issued, OperationKind, RawReply, Reading, read};
use crate::config::definition::{
    Body, Definition, ExpiryRule, LimitOverride, Method, OldToken, Operation, Request, StatusPattern,
    Success, Unit,
};
use crate::domain::{ErrorClass, Timestamp};

/// Before the request was sent, in every test that does not say otherwise.
pub(super) const T0: i64 = 1_700_000_000;

/// OAuth's reply, nothing documented.
pub(super) fn operation() -> Operation {
    Operation {
        request: Request {
            method: Method::Post,
            url: "/token".to_owned(),
            headers: vec![],
            query: vec![],
            basic: None,
            body: Body::Json(json!({"id": "{{ credentials.id }}"})),
        },
        success: Success { status: vec![StatusPattern::Exact(200), StatusPattern::Exact(201)], body: vec![] },
        token: vec!["/access_token".to_owned()],
        missing_token: ErrorClass::Malformed,
        token_type: vec!["/token_type".to_owned()],
        refresh_token: vec!["/refresh_token".to_owned()],
        refresh_lifetime: vec![],
        extra: vec![],
        expiry: vec![ExpiryRule::Lifetime { at: "/expires_in".to_owned(), unit: Unit::Seconds }],
        clock: vec![],
        errors: vec![],
        wait: vec![],
    }
}

/// A definition that issues by `issue`.
pub(super) fn definition(issue: Operation) -> Definition {
    Definition {
        name: "test".to_owned(),
        title: String::new(),
        docs: vec![],
        environments: vec![],
        default_environment: 0,
        credentials: vec![],
        params: vec![],
        life: None,
        old_token: OldToken::KillsOld,
        refresh_single_use: false,
        refresh_life: None,
        min_interval: None,
        allow_list: false,
        limits: LimitOverride::default(),
        reuse_window: None,
        idle_timeout: Duration::from_secs(20),
        issue: Some(issue),
        refresh: None,
    }
}

/// A reply with a JSON body.
pub(super) fn reply(status: u16, body: &Value) -> RawReply {
    raw(status, &[], body.to_string().as_bytes())
}

/// Any reply.
pub(super) fn raw(status: u16, headers: &[(&str, &str)], body: &[u8]) -> RawReply {
    RawReply {
        status,
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: Zeroizing::new(body.to_vec()),
    }
}

/// Reads a reply to `issue` that was sent and received at [`T0`].
pub(super) fn issued(definition: &Definition, reply: &RawReply) -> Result<Issued, Failure> {
    read_at(definition, OperationKind::Issue, reply, Timestamp::from_secs(T0), Timestamp::from_secs(T0))
}

/// Reads a reply.
pub(super) fn read_at(
    definition: &Definition,
    kind: OperationKind,
    reply: &RawReply,
    t0: Timestamp,
    received_at: Timestamp,
) -> Result<Issued, Failure> {
    read_repeated(definition, kind, reply, (t0, received_at), false)
}

/// Reads a reply to a request whose idempotency key may have been answered before.
pub(super) fn read_repeated(
    definition: &Definition,
    kind: OperationKind,
    reply: &RawReply,
    (t0, received_at): (Timestamp, Timestamp),
    repeated: bool,
) -> Result<Issued, Failure> {
    let operation = match kind {
        OperationKind::Issue => &definition.issue,
        OperationKind::Refresh => &definition.refresh,
    };
    let operation = operation.as_ref().expect("the definition has that operation");
    let params = BTreeMap::new();
    let secrets = &[];
    let reading =
        Reading { definition, kind, operation, params: &params, t0, received_at, repeated, secrets };
    read(&reading, reply)
}
