use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use kube::api::{DeleteParams, GetParams, Patch, PatchParams, Preconditions};
use kube::core::Request as Requests;
use serde_json::Value;

use super::access::{self, Origin};
use super::error::{KubeError, Verb, other_account};
use super::exchange::{Reply, Request, exchange};
use super::memory::{Memory, Print};
use super::object::{Object, Partial, intent};
use super::stamp::Stamp;
use super::words::{Refusal, refusal};
use super::{FIELD_MANAGER, LARGEST};
use crate::config::model::KubernetesSink;
use crate::domain::{AccountId, Secret, Timestamp};

/// The longest that a call takes, all its requests together, unless said.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often a write is tried on a Secret that others change meanwhile.
const TRIES: usize = 4;

/// A Kubernetes cluster. Its configuration is read at the first use, and again when the server refuses the
/// credentials.
pub struct Cluster {
    origin: Origin,
    timeout: Duration,
    line: Mutex<Option<Line>>,
    /// What stands where by our own hand.
    memory: Memory,
}

/// What a [`Cluster::put`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Whether anything was written.
    pub written: Written,
    /// Of the Secret as it is now; it stays the same until somebody changes it.
    pub resource_version: String,
}

/// Whether a write was needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// There was no Secret.
    Created,
    /// It held something else.
    Updated,
    /// It held just that.
    Unchanged,
    /// It holds a newer token of the same account, of another agent. It stays.
    NewerThere,
}

/// What a [`Cluster::delete`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// The Secret, as all in it was ours.
    Secret,
    /// Our keys; the rest is others'.
    Keys,
    /// There was nothing of ours.
    Nothing,
}

/// A client, and how many there were before it.
#[derive(Clone)]
struct Line {
    serial: u64,
    client: Client,
}

/// Why a step did not end.
enum Halt {
    /// The Secret is no more what was read: look again.
    Moved,
    Error(KubeError),
}

impl Cluster {
    /// A cluster that is connected to when it is first used.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self { origin, timeout: TIMEOUT, line: Mutex::new(None), memory: Memory::new() }
    }

    /// Reads the configuration; sends nothing.
    ///
    /// # Errors
    /// [`KubeError::NoConfiguration`] and [`KubeError::Configuration`].
    pub async fn connect(origin: Origin) -> Result<Self, KubeError> {
        let cluster = Self::new(origin);
        cluster.within(cluster.line(None)).await?;
        Ok(cluster)
    }

    /// Gives each call this long in place of 30 s.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Brings the Secret to `data`, unless a newer token of the account stands there. Keys that renewd has applied
    /// and that are not in `data` go away; what others own stays.
    ///
    /// Where the last put brought it to just this, only its version is asked for, and no value unless that is another.
    ///
    /// # Errors
    /// [`KubeError`]; where the time ran out, the Secret may have been written.
    pub async fn put(
        &self,
        sink: &KubernetesSink,
        data: &BTreeMap<String, Secret>,
        stamp: &Stamp,
    ) -> Result<Put, KubeError> {
        check_names(sink)?;
        let size = data.values().map(|value| value.expose().len()).sum();
        if size > LARGEST {
            return Err(KubeError::TooLarge(size));
        }
        let print = self.memory.print(data, stamp);
        self.within(async {
            if let Some(resource_version) = self.unchanged(sink, print).await? {
                return Ok(Put { written: Written::Unchanged, resource_version });
            }
            for _ in 0..TRIES {
                match self.put_once(sink, data, stamp).await {
                    Err(Halt::Moved) => {}
                    Err(Halt::Error(error)) => return Err(error),
                    Ok(put) => {
                        if put.written != Written::NewerThere {
                            self.memory.remember(sink, print, put.resource_version.clone());
                        }
                        return Ok(put);
                    }
                }
            }
            Err(KubeError::Restless)
        })
        .await
    }

    /// Tries a write of `keys` without doing it (`dryRun`): the server is there, RBAC allows it, nobody owns the keys.
    ///
    /// # Errors
    /// What a [`Cluster::put`] would fail with.
    pub async fn rehearse(
        &self,
        sink: &KubernetesSink,
        keys: &[String],
        stamp: &Stamp,
    ) -> Result<(), KubeError> {
        check_names(sink)?;
        self.within(async {
            let found = self.read(sink).await?.map(|(found, _)| found);
            if let Some(found) = &found {
                writable(found, stamp)?;
            }
            let data: BTreeMap<String, Secret> =
                keys.iter().map(|key| (key.clone(), Secret::from(""))).collect();
            let params = PatchParams { dry_run: true, ..PatchParams::apply(FIELD_MANAGER) };
            let verb = if found.is_none() { Verb::Create } else { Verb::Patch };
            match self.apply(sink, &intent(sink, None, Some((&data, stamp))), &params, verb).await {
                Ok(_) | Err(Halt::Moved) => Ok(()),
                Err(Halt::Error(error)) => Err(error),
            }
        })
        .await
    }

    /// Takes away what renewd has put there for the account: the Secret where all in it is ours, else our keys.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn delete(&self, sink: &KubernetesSink, account: &AccountId) -> Result<Removed, KubeError> {
        check_names(sink)?;
        self.memory.forget(sink);
        self.within(async {
            for _ in 0..TRIES {
                match self.delete_once(sink, account).await {
                    Err(Halt::Moved) => {}
                    Err(Halt::Error(error)) => return Err(error),
                    Ok(removed) => return Ok(removed),
                }
            }
            Err(KubeError::Restless)
        })
        .await
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, KubeError>>) -> Result<T, KubeError> {
        tokio::time::timeout(self.timeout, work).await.unwrap_or(Err(KubeError::TimedOut(self.timeout)))
    }

    /// The Secret's version, where it is the one in which it held just this.
    async fn unchanged(&self, sink: &KubernetesSink, print: Print) -> Result<Option<String>, KubeError> {
        let Some(known) = self.memory.version(sink, print) else { return Ok(None) };
        Ok(self.version(sink).await?.filter(|now| *now == known))
    }

    /// The Secret's `resourceVersion`; `None` where there is no such Secret. Asks for no value of it.
    async fn version(&self, sink: &KubernetesSink) -> Result<Option<String>, KubeError> {
        let request = secrets(sink).get_metadata(&sink.secret, &GetParams::default());
        match self.ask(request, Verb::Get, sink).await {
            Ok(reply) => Ok(Some(body::<Partial>(&reply)?.metadata.resource_version)),
            Err(Refusal::Absent) => Ok(None),
            Err(other) => Err(settled(other)),
        }
    }

    async fn put_once(
        &self,
        sink: &KubernetesSink,
        data: &BTreeMap<String, Secret>,
        stamp: &Stamp,
    ) -> Result<Put, Halt> {
        let found = self.read(sink).await?;
        if let Some((found, now)) = &found {
            if found.is_leaving() {
                return Err(KubeError::Leaving.into());
            }
            let stays = |written| Put { written, resource_version: found.metadata.resource_version.clone() };
            if found.holds(data, stamp) {
                return Ok(stays(Written::Unchanged));
            }
            let seen = found.seen();
            if seen.account.as_deref() == Some(stamp.account.as_str()) && seen.newer_than(stamp, *now) {
                return Ok(stays(Written::NewerThere));
            }
            writable(found, stamp)?;
        }
        let version = found.as_ref().map(|(found, _)| found.metadata.resource_version.as_str());
        let params = PatchParams::apply(FIELD_MANAGER);
        let verb = if found.is_none() { Verb::Create } else { Verb::Patch };
        let reply = self.apply(sink, &intent(sink, version, Some((data, stamp))), &params, verb).await?;
        let written = if reply.status == 201 { Written::Created } else { Written::Updated };
        let resource_version = body::<Partial>(&reply)?.metadata.resource_version;
        // Without a Secret there was no version to tie the write to, and an apply cannot say "only if there is none": an
        // agent that found none either may have written its older token over ours. A request of its that comes later
        // than this look is found by the next comparison.
        if found.is_none() && self.version(sink).await?.as_ref() != Some(&resource_version) {
            return Err(Halt::Moved);
        }
        Ok(Put { written, resource_version })
    }

    async fn delete_once(&self, sink: &KubernetesSink, account: &AccountId) -> Result<Removed, Halt> {
        let Some((found, _)) = self.read(sink).await? else { return Ok(Removed::Nothing) };
        let other = found.seen().account.is_some_and(|name| name != account.as_str());
        if other || found.is_leaving() || !found.has_ours() {
            return Ok(Removed::Nothing);
        }
        if !found.is_ours_alone() {
            let version = Some(found.metadata.resource_version.as_str());
            let params = PatchParams::apply(FIELD_MANAGER);
            self.apply(sink, &intent(sink, version, None), &params, Verb::Patch).await?;
            return Ok(Removed::Keys);
        }
        let preconditions = Preconditions {
            uid: Some(found.metadata.uid),
            resource_version: Some(found.metadata.resource_version),
        };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.ask(secrets(sink).delete(&sink.secret, &params), Verb::Delete, sink).await {
            Ok(_) => Ok(Removed::Secret),
            Err(Refusal::Absent) => Ok(Removed::Nothing),
            Err(Refusal::Moved) => Err(Halt::Moved),
            Err(Refusal::Error(error)) => Err(error.into()),
        }
    }

    /// The Secret, and what the server's clock says.
    async fn read(&self, sink: &KubernetesSink) -> Result<Option<(Object, Option<Timestamp>)>, KubeError> {
        let request = secrets(sink).get(&sink.secret, &GetParams::default());
        match self.ask(request, Verb::Get, sink).await {
            Ok(reply) => Ok(Some((body(&reply)?, reply.date))),
            Err(Refusal::Absent) => Ok(None),
            Err(other) => Err(settled(other)),
        }
    }

    /// Applies, and wants back the metadata only. `verb` is what RBAC misses where the server does not say: it names a
    /// missing `patch`, but not the `create` that it asks for in addition where there is no Secret yet.
    async fn apply(
        &self,
        sink: &KubernetesSink,
        intent: &Value,
        params: &PatchParams,
        verb: Verb,
    ) -> Result<Reply, Halt> {
        let request = secrets(sink).patch_metadata(&sink.secret, params, &Patch::Apply(intent));
        match self.ask(request, verb, sink).await {
            Ok(reply) => Ok(reply),
            // It was deleted after it was read.
            Err(Refusal::Moved | Refusal::Absent) => Err(Halt::Moved),
            Err(Refusal::Error(error)) => Err(error.into()),
        }
    }

    /// Sends a request; one more time with credentials that were read anew where the server refuses them.
    async fn ask(
        &self,
        request: Result<Request, kube::core::request::Error>,
        verb: Verb,
        sink: &KubernetesSink,
    ) -> Result<Reply, Refusal> {
        let request = request.map_err(|_| Refusal::Error(KubeError::Invalid("metadata.name".to_owned())))?;
        let line = self.line(None).await?;
        let reply = match exchange(&line.client, request.clone()).await {
            Err(KubeError::Unauthorized) => {
                exchange(&self.line(Some(line.serial)).await?.client, request).await?
            }
            reply => reply?,
        };
        match reply.status {
            200..=202 => Ok(reply),
            status => Err(refusal(status, &reply.body, verb, sink)),
        }
    }

    /// The client, made now where there is none, or where the last one is the refused one.
    async fn line(&self, refused: Option<u64>) -> Result<Line, KubeError> {
        let last = self.line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let serial = match last {
            Some(line) if Some(line.serial) != refused => return Ok(line),
            Some(line) => line.serial + 1,
            None => 0,
        };
        let line = Line { serial, client: access::connect(self.origin.clone()).await? };
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(line.clone());
        Ok(line)
    }
}

/// Whether renewd may write for the account.
fn writable(found: &Object, stamp: &Stamp) -> Result<(), KubeError> {
    match found.seen().account {
        Some(account) if account != stamp.account.as_str() => Err(other_account(&account)),
        _ if found.is_immutable() => Err(KubeError::Immutable),
        _ => Ok(()),
    }
}

/// Names become parts of a URL, so they must be the API's own kind of name (RFC 1123).
fn check_names(sink: &KubernetesSink) -> Result<(), KubeError> {
    let is_name = |name: &str| {
        let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let inner =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        let bytes = name.as_bytes();
        bytes.len() <= 253 && end(bytes.first()) && end(bytes.last()) && name.bytes().all(inner)
    };
    match (is_name(&sink.namespace), is_name(&sink.secret)) {
        (true, true) => Ok(()),
        (false, _) => Err(KubeError::Invalid("metadata.namespace".to_owned())),
        (_, false) => Err(KubeError::Invalid("metadata.name".to_owned())),
    }
}

fn secrets(sink: &KubernetesSink) -> Requests {
    Requests::new(format!("/api/v1/namespaces/{}/secrets", sink.namespace))
}

/// Reads a reply; what serde says of a failure may hold values, so it is not repeated.
fn body<T: serde::de::DeserializeOwned>(reply: &Reply) -> Result<T, KubeError> {
    serde_json::from_slice(&reply.body).map_err(|_| KubeError::NotKubernetes)
}

fn settled(refusal: Refusal) -> KubeError {
    match refusal {
        Refusal::Error(error) => error,
        Refusal::Moved | Refusal::Absent => KubeError::Restless,
    }
}

impl From<KubeError> for Halt {
    fn from(error: KubeError) -> Self {
        Self::Error(error)
    }
}

impl From<KubeError> for Refusal {
    fn from(error: KubeError) -> Self {
        Self::Error(error)
    }
}
