//! One login, by any of the five ways, and one renewal. Knows nothing of who waits for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use vaultrs::api::auth::approle::requests::LoginWithApproleRequest;
use vaultrs::api::auth::kubernetes::requests::LoginWithKubernetesRequest;
use vaultrs::api::auth::oidc::requests::JWTLoginRequest;
use vaultrs::api::token::requests::{LookupTokenSelfRequest, RenewTokenSelfRequest};

use super::error::Method;
use super::lease::Grant;
use super::transport::{Reply, Request, Transport};
use super::{VaultError, zeroizing_text};
use crate::config::model::{SecretSource, VaultAuth};
use crate::domain::Secret;

/// How secrets are had: given by the caller, so that this room knows nothing of files and commands. The error is in
/// words, without the secret.
pub type Resolve = Arc<dyn Fn(SecretSource) -> BoxFuture<'static, Result<Secret, String>> + Send + Sync>;

#[derive(Deserialize)]
struct Granted {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(deserialize_with = "zeroizing_text")]
    client_token: Secret,
    lease_duration: u64,
    renewable: bool,
}

#[derive(Deserialize)]
struct LookedUp {
    data: Lookup,
}

#[derive(Deserialize)]
struct Lookup {
    ttl: u64,
    #[serde(default)]
    renewable: bool,
}

/// Logs in and says what was given. A configured token is looked up instead.
pub(super) async fn login(
    transport: &Transport,
    auth: &VaultAuth,
    resolve: &Resolve,
) -> Result<(Secret, Grant), VaultError> {
    let method = Method::of(auth);
    let read = async |source: &SecretSource| resolve(source.clone()).await.map_err(VaultError::Secret);
    // What vaultrs takes is its own copy: it cannot be wiped.
    let text = |secret: &Secret| secret.expose().to_owned();
    let request = match auth {
        VaultAuth::Token(source) => {
            let token = read(source).await?;
            let grant = lookup(transport, &token).await?.ok_or(refused(method, 403))?;
            return Ok((token, grant));
        }
        VaultAuth::AppRole { role_id, secret_id, mount } => {
            let role_id = text(&read(role_id).await?);
            let secret_id = match secret_id {
                Some(source) => text(&read(source).await?),
                None => String::new(),
            };
            Request::of(&LoginWithApproleRequest { mount: mount.clone(), role_id, secret_id })
        }
        VaultAuth::Kubernetes { role, jwt, mount } => Request::of(&LoginWithKubernetesRequest {
            mount: mount.clone(),
            role: role.clone(),
            jwt: text(&read(jwt).await?),
        }),
        VaultAuth::Jwt { role, jwt, mount } => Request::of(&JWTLoginRequest {
            mount: mount.clone(),
            jwt: text(&read(jwt).await?),
            role: role.clone(),
        }),
        // vaultrs names the role `cert_name`, which the server does not look at.
        VaultAuth::Cert { name, mount, .. } => {
            let body = name.as_ref().map_or(json!({}), |name| json!({ "name": name }));
            Ok(Request::post(format!("auth/{mount}/login"), &body))
        }
    };
    let reply = transport.send(&request?, None).await?;
    if !reply.good() {
        return Err(refused(method, reply.status));
    }
    let Some(Granted { auth }) = reply.json() else {
        return Err(VaultError::Malformed("the login gives no token"));
    };
    let grant = Grant { ttl: Duration::from_secs(auth.lease_duration), renewable: auth.renewable };
    Ok((auth.client_token, grant))
}

/// Makes the token live longer; `None` where the server refuses that.
pub(super) async fn renew(transport: &Transport, token: &Secret) -> Result<Option<Grant>, VaultError> {
    let reply = transport.send(&Request::of(&RenewTokenSelfRequest::default())?, Some(token)).await?;
    if !reply.good() {
        return Ok(None);
    }
    let Some(Granted { auth }) = reply.json() else {
        return Err(VaultError::Malformed("the renewal says no duration"));
    };
    Ok(Some(Grant { ttl: Duration::from_secs(auth.lease_duration), renewable: auth.renewable }))
}

/// What is left of the token; `None` where the server does not know it (or does not let it look at itself).
pub(super) async fn lookup(transport: &Transport, token: &Secret) -> Result<Option<Grant>, VaultError> {
    let reply: Reply = transport.send(&Request::of(&LookupTokenSelfRequest::default())?, Some(token)).await?;
    if !reply.good() {
        return Ok(None);
    }
    let Some(LookedUp { data }) = reply.json() else {
        return Err(VaultError::Malformed("the token's look-up says no duration"));
    };
    Ok(Some(Grant { ttl: Duration::from_secs(data.ttl), renewable: data.renewable }))
}

fn refused(method: Method, status: u16) -> VaultError {
    VaultError::LoginRefused { method, status }
}
