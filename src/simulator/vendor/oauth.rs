//! `oauth2-client-credentials` and `oauth2-refresh-token`: a token endpoint as RFC 6749 has it.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{
    Answer, Ask, Call, Form, Grantee, Marks, Refusal, Reuse, after_whole_seconds, mint, mint_refresh, text,
};
use crate::simulator::{clock::millis_between, options::Rotation, provider::Provider, world::World};

/// A form with the endpoint's `grant_type`; the client authenticates by Basic, form-encoded first (section 2.3.1),
/// or in the body, never both. A parameter twice is an invalid request (section 3.2).
pub(super) fn read(call: &Call) -> Result<Ask, Refusal> {
    if !call.content_type_is("application/x-www-form-urlencoded") {
        return Err(Refusal::Malformed);
    }
    let mut form = HashMap::new();
    for (name, value) in form_urlencoded::parse(&call.body) {
        if form.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(Refusal::Malformed);
        }
    }
    let grant_type = form.get("grant_type").ok_or(Refusal::Malformed)?;
    let wanted = match call.provider {
        Provider::OAuthRefreshToken => "refresh_token",
        _ => "client_credentials",
    };
    if grant_type != wanted {
        return Err(Refusal::WrongGrant);
    }
    let (account, secret) = client(call, &mut form)?;
    let refresh_token = match call.provider {
        Provider::OAuthRefreshToken => {
            Some(form.remove("refresh_token").filter(|token| !token.is_empty()).ok_or(Refusal::Malformed)?)
        }
        _ => None,
    };
    if secret.is_none() && refresh_token.is_none() {
        return Err(Refusal::Unauthenticated);
    }
    Ok(Ask { account: Some(account), secret, refresh_token, scope: form.remove("scope"), ..Ask::default() })
}

/// Section 5.1: `expires_in` counts from the reply; no store may keep it.
pub(super) fn grant(world: &mut World, call: &Call, grantee: &Grantee) -> Answer {
    let account = grantee.account.as_str();
    let minted =
        mint(world, call, account, Reuse::Never, after_whole_seconds, |world, _, _| world.ledger.nonce());
    let mut body = Map::new();
    body.insert("access_token".to_owned(), Value::from(minted.token.clone()));
    body.insert("token_type".to_owned(), Value::from("Bearer"));
    body.insert("expires_in".to_owned(), Value::from(millis_between(call.now, minted.expires_at) / 1_000));
    let rotates = grantee.family.is_some() && world.options.rotation == Rotation::SingleUse;
    if rotates {
        if let Some(family) = grantee.family {
            world.ledger.end_family(call.provider, family);
        }
        let next = mint_refresh(world, call, grantee, |world, _, _| world.ledger.nonce());
        body.insert("refresh_token".to_owned(), Value::from(next));
    }
    if let Some(scope) = &grantee.scope {
        body.insert("scope".to_owned(), Value::from(scope.clone()));
    }
    let marks = Marks {
        token: "/access_token",
        refresh: rotates.then_some("/refresh_token"),
        expiry: &[("/expires_in", Form::Seconds)],
    };
    no_store(Answer::granted(Value::Object(body), marks))
}

/// Section 5.2; 401 names the scheme where the client used the `Authorization` header.
pub(super) fn refuse(call: &Call, refusal: Refusal) -> Answer {
    let (status, error) = match refusal {
        Refusal::Malformed => (400, "invalid_request"),
        Refusal::WrongGrant => (400, "unsupported_grant_type"),
        Refusal::Unauthenticated | Refusal::UnknownAccount | Refusal::WrongSecret => (401, "invalid_client"),
        Refusal::DeadRefreshToken => (400, "invalid_grant"),
        Refusal::Address => (400, "unauthorized_client"),
        Refusal::Busy => (503, "temporarily_unavailable"),
        Refusal::Throttled { .. } => (429, "slow_down"),
    };
    let answer = no_store(Answer::refused(status, json!({"error": error})));
    match refusal {
        Refusal::Throttled { wait } => answer.with_header("Retry-After", wait.as_secs().max(1).to_string()),
        _ if status == 401 && call.headers.contains_key("authorization") => {
            answer.with_header("WWW-Authenticate", "Basic realm=\"simulator\"")
        }
        _ => answer,
    }
}

/// The client's id and, where it has one, its secret.
fn client(call: &Call, form: &mut HashMap<String, String>) -> Result<(String, Option<String>), Refusal> {
    let in_body = Value::Object(
        ["client_id", "client_secret"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), Value::from(form.remove(name)?))))
            .collect(),
    );
    if !call.headers.contains_key("authorization") {
        let id = text(&in_body, "client_id").map_err(|_| Refusal::Unauthenticated)?;
        return Ok((id, text(&in_body, "client_secret").ok()));
    }
    if in_body.get("client_secret").is_some() {
        return Err(Refusal::Malformed);
    }
    let (id, secret) = call.basic().ok_or(Refusal::Unauthenticated)?;
    let (id, secret) = (form_decoded(&id), form_decoded(&secret));
    if id.is_empty() || secret.is_empty() {
        return Err(Refusal::Unauthenticated);
    }
    Ok((id, Some(secret)))
}

fn form_decoded(text: &str) -> String {
    // A `&` or `=` would be read as structure; the encoding leaves neither bare.
    let held = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(held.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

fn no_store(answer: Answer) -> Answer {
    answer.with_header("Cache-Control", "no-store").with_header("Pragma", "no-cache")
}
