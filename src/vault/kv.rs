//! The two key-value engines: what stands at a path, and how it is replaced or deleted.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use vaultrs::api::{kv1, kv2};

use super::fields::wipe;
use super::session::Session;
use super::settle::{GENERATION, ISSUED_AT, Stamp, VERSION};
use super::transport::{Reply, Request};
use super::{Fields, VaultError};
use crate::config::model::KvVersion;

/// Where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) mount: String,
    pub(super) path: String,
    pub(super) kv: KvVersion,
}

/// What stands there.
#[derive(Debug)]
pub(super) struct Standing {
    /// `None` where there is nothing, or a deleted version.
    pub(super) fields: Option<Fields>,
    /// What a check-and-set names: 0 where nothing was ever written. Always 0 in version 1.
    pub(super) version: u64,
    /// `custom_metadata` of version 2.
    pub(super) metadata: Map<String, Value>,
}

/// How a write ended that was not refused.
pub(super) enum Written {
    /// It stands there, in version 2 under this number.
    As(Option<u64>),
    /// Somebody else was faster.
    Conflict,
}

/// What metadata say of the newest version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Newest {
    /// It stands there.
    Version(u64),
    /// There is none, or it was deleted or destroyed.
    Gone,
    /// The policy does not let them be read.
    Denied,
}

/// Version 2: the data and the version's metadata, also of a deleted one (which comes with a 404).
#[derive(Deserialize)]
struct Versioned {
    data: Document,
}

#[derive(Deserialize)]
struct Document {
    data: Option<Map<String, Value>>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    version: u64,
    custom_metadata: Option<Map<String, Value>>,
}

/// Version 2: what stands beside the data.
#[derive(Deserialize)]
struct Beside {
    data: Versions,
}

#[derive(Deserialize)]
struct Versions {
    current_version: u64,
    versions: HashMap<String, Life>,
}

#[derive(Deserialize)]
struct Life {
    #[serde(default)]
    deletion_time: String,
    #[serde(default)]
    destroyed: bool,
}

/// Version 1: the data.
#[derive(Deserialize)]
struct Plain {
    data: Map<String, Value>,
}

/// The reply to a write of version 2.
#[derive(Deserialize)]
struct NewVersion {
    data: Metadata,
}

/// What stands at the path of a reply of version 1 that goes to an engine of version 2.
#[derive(Deserialize)]
struct Warned {
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

/// The reply to the question what a token may do.
#[derive(Deserialize)]
struct Allowed {
    capabilities: Vec<String>,
}

#[derive(Deserialize)]
struct MountSaid {
    data: Mount,
}

#[derive(Deserialize)]
struct Mount {
    #[serde(rename = "type")]
    kind: String,
    options: Option<Map<String, Value>>,
}

impl Place {
    /// As policies write it.
    pub(super) fn policy_path(&self) -> String {
        match self.kv {
            KvVersion::V1 => format!("{}/{}", self.mount, self.path),
            KvVersion::V2 => format!("{}/data/{}", self.mount, self.path),
        }
    }

    /// As people write it.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.mount, self.path)
    }
}

/// The version of the engine at a mount, where the server says so. A policy that allows anything below the mount allows
/// this question.
pub(super) async fn engine(session: &Session, mount: &str) -> Result<Option<KvVersion>, VaultError> {
    let reply = session.ask(&Request::get(format!("sys/internal/ui/mounts/{mount}"))).await?;
    let Some(MountSaid { data }) = reply.good().then(|| reply.json()).flatten() else { return Ok(None) };
    if data.kind != "kv" && data.kind != "generic" {
        return Ok(None);
    }
    let version = data.options.as_ref().and_then(|options| options.get("version"));
    Ok(Some(if version.and_then(Value::as_str) == Some("2") { KvVersion::V2 } else { KvVersion::V1 }))
}

/// Which of the capabilities, written as for [`VaultError::Denied`], the policy lacks there; none where it may not even be
/// asked.
pub(super) async fn lacking(
    session: &Session,
    place: &Place,
    wanted: &[&'static str],
) -> Result<Option<&'static str>, VaultError> {
    let body = serde_json::json!({ "paths": [place.policy_path()] });
    let reply = session.ask(&Request::post("sys/capabilities-self".to_owned(), &body)).await?;
    let Some(Allowed { capabilities }) = reply.good().then(|| reply.json()).flatten() else {
        return Ok(None);
    };
    let has = |one: &str| capabilities.iter().any(|allowed| allowed == one || allowed == "root");
    Ok(wanted.iter().find(|wanted| !wanted.split(" and ").all(has)).copied())
}

/// Reads the newest version.
pub(super) async fn read(session: &Session, place: &Place) -> Result<Standing, VaultError> {
    let (mount, path) = (place.mount.clone(), place.path.clone());
    let request = match place.kv {
        KvVersion::V1 => Request::of(&kv1::requests::GetSecretRequest { mount, path })?,
        KvVersion::V2 => Request::of(&kv2::requests::ReadSecretRequest { mount, path, version: None })?,
    };
    let reply = session.ask(&request).await?;
    if !reply.good() && reply.status != 404 {
        return Err(refusal(&reply, place, "read"));
    }
    let nothing = Standing { fields: None, version: 0, metadata: Map::new() };
    match place.kv {
        KvVersion::V2 => match reply.json::<Versioned>() {
            Some(Versioned { data }) => Ok(Standing {
                fields: data.data.map(Fields::new),
                version: data.metadata.version,
                metadata: data.metadata.custom_metadata.unwrap_or_default(),
            }),
            None if reply.good() => Err(VaultError::Malformed("it is no versioned secret")),
            None => missing(&reply, place).map_or(Ok(nothing), Err),
        },
        KvVersion::V1 => match reply.json::<Plain>() {
            Some(Plain { data }) if reply.good() => {
                Ok(Standing { fields: Some(Fields::new(data)), ..nothing })
            }
            _ if reply.good() => Err(VaultError::Malformed("it is no secret")),
            _ => missing(&reply, place).map_or(Ok(nothing), Err),
        },
    }
}

/// Which version is the newest, of key-value version 2; no value is read.
///
/// A deletion that lies ahead (`delete_version_after`) counts as one, too: what stands there is then looked at whole.
pub(super) async fn newest(session: &Session, place: &Place) -> Result<Newest, VaultError> {
    let endpoint =
        kv2::requests::ReadSecretMetadataRequest { mount: place.mount.clone(), path: place.path.clone() };
    let reply = session.ask(&Request::of(&endpoint)?).await?;
    match reply.status {
        403 => return Ok(Newest::Denied),
        404 => return Ok(Newest::Gone),
        _ if !reply.good() => return Err(refusal(&reply, place, "read")),
        _ => {}
    }
    let Some(Beside { data }) = reply.json() else {
        return Err(VaultError::Malformed("these are no metadata of a versioned secret"));
    };
    let lives = |life: &Life| life.deletion_time.is_empty() && !life.destroyed;
    Ok(match data.versions.get(&data.current_version.to_string()) {
        Some(life) if lives(life) => Newest::Version(data.current_version),
        _ => Newest::Gone,
    })
}

/// Writes: in version 2 only over the version that was seen.
pub(super) async fn write(
    session: &Session,
    place: &Place,
    fields: &Fields,
    seen: u64,
) -> Result<Written, VaultError> {
    let (mount, path) = (place.mount.clone(), place.path.clone());
    let request = match place.kv {
        KvVersion::V1 => {
            let mut data = fields.to_value();
            let request = Request::post(place.name(), &data);
            wipe(&mut data);
            request
        }
        KvVersion::V2 => {
            let cas =
                u32::try_from(seen).map_err(|_| VaultError::Malformed("the version is out of range"))?;
            let options = Some(kv2::requests::SetSecretRequestOptions { cas });
            let mut endpoint =
                kv2::requests::SetSecretRequest { mount, path, data: fields.to_value(), options };
            let request = Request::of(&endpoint);
            wipe(&mut endpoint.data);
            request?
        }
    };
    let reply = session.ask(&request).await?;
    match place.kv {
        _ if reply.status == 400 && reply.says("check-and-set parameter did not match") => {
            Ok(Written::Conflict)
        }
        _ if reply.status == 404 => Err(missing(&reply, place)
            .unwrap_or_else(|| VaultError::Refused { path: place.policy_path(), status: 404 })),
        _ if !reply.good() => Err(refusal(&reply, place, "create and update")),
        KvVersion::V1 => Ok(Written::As(None)),
        KvVersion::V2 => match reply.json::<NewVersion>() {
            Some(NewVersion { data }) => Ok(Written::As(Some(data.version))),
            None => Err(VaultError::Malformed("the write says no version")),
        },
    }
}

/// Notes beside the secret which token `version` is made from, keeping what others noted. `false`: the policy denies it.
pub(super) async fn note(
    session: &Session,
    place: &Place,
    others: &Map<String, Value>,
    stamp: Stamp,
    version: u64,
) -> Result<bool, VaultError> {
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    let mut notes: HashMap<String, String> = others.iter().filter_map(text).collect();
    notes.insert(GENERATION.into(), stamp.generation.to_string());
    notes.insert(ISSUED_AT.into(), stamp.issued_at.to_string());
    notes.insert(VERSION.into(), version.to_string());
    let endpoint = kv2::requests::SetSecretMetadataRequest {
        mount: place.mount.clone(),
        path: place.path.clone(),
        custom_metadata: Some(notes),
        ..Default::default()
    };
    Ok(session.ask(&Request::of(&endpoint)?).await?.good())
}

/// Deletes the newest version (of version 2: it can be undeleted), or the secret of version 1. Nothing there is fine.
pub(super) async fn delete(session: &Session, place: &Place) -> Result<(), VaultError> {
    let (mount, path) = (place.mount.clone(), place.path.clone());
    let request = match place.kv {
        KvVersion::V1 => Request::of(&kv1::requests::DeleteSecretRequest { mount, path })?,
        KvVersion::V2 => Request::of(&kv2::requests::DeleteLatestSecretVersionRequest { mount, path })?,
    };
    let reply = session.ask(&request).await?;
    if reply.good() {
        return Ok(());
    }
    if reply.status == 404 {
        return missing(&reply, place).map_or(Ok(()), Err);
    }
    Err(refusal(&reply, place, "delete"))
}

/// What a 404 means beside "nothing there".
fn missing(reply: &Reply, place: &Place) -> Option<VaultError> {
    if reply.says("no handler for route") {
        return Some(VaultError::NoMount(place.mount.clone()));
    }
    let warnings = reply.json::<Warned>().and_then(|reply| reply.warnings).unwrap_or_default();
    let versioned = warnings.iter().any(|warning| warning.contains("versioned K/V secrets engine"));
    (versioned && place.kv == KvVersion::V1)
        .then(|| VaultError::WrongVersion { mount: place.mount.clone(), is: KvVersion::V2 })
}

fn refusal(reply: &Reply, place: &Place, capability: &'static str) -> VaultError {
    match reply.status {
        403 => VaultError::Denied { path: place.policy_path(), capability },
        status => VaultError::Refused { path: place.policy_path(), status },
    }
}
