//! Targets that stand on a server: Vault, Kubernetes.

use super::{Done, Trouble, member};
use crate::config::model::{KubernetesSink, VaultSink};
use crate::domain::{AccountId, ErrorClass};
use crate::runtime::servers::Servers;
use crate::sink::fields;
use crate::sink::file::Tenure;
use crate::store::Record;
use crate::vault::{Fields, Outcome, Put, Stamp, VaultError};

/// The newer token there is another agent's: ours has nothing to add, and says so.
const NEWER: &str = "a newer token of another agent stands there, which is left alone";

pub(super) async fn vault(servers: &Servers, sink: &VaultSink, record: &Record) -> Result<Done, Trouble> {
    let Some(client) = &servers.vault else { return Err("no `vault:` is configured".to_owned().into()) };
    let (token, member) = member(record)?;
    let rendered = fields::render(sink.fields.as_ref(), member).map_err(|error| error.to_string())?;
    let fields = Fields::new(rendered.iter().map(|(name, field)| (name.clone(), field.to_json())).collect());
    let stamp = Stamp { generation: token.meta.generation, issued_at: token.meta.issued_at };
    let Put { outcome, foreign, .. } = client.put(sink, &fields, stamp).await.map_err(vault_trouble)?;
    let mut warnings = Vec::new();
    match outcome {
        Outcome::NewerThere => warnings.push(NEWER.to_owned()),
        Outcome::Written if foreign => {
            warnings.push("another writer's version was replaced by ours".to_owned())
        }
        Outcome::Written | Outcome::Unchanged => {}
    }
    Ok(Done {
        held: vec![token.meta.generation],
        written: outcome == Outcome::Written,
        print: 0,
        warnings,
        look: None,
        tenure: Tenure::Unknown,
        displaced: false,
    })
}

pub(super) async fn delete_from_vault(servers: &Servers, sink: &VaultSink) -> Result<bool, Trouble> {
    let Some(client) = &servers.vault else { return Err("no `vault:` is configured".to_owned().into()) };
    client.delete(sink).await.map_err(vault_trouble)?;
    Ok(true)
}

fn vault_trouble(error: VaultError) -> Trouble {
    let (server_away, class) = (error.server_away(), class(error.is_ours()));
    Trouble { message: with_hint(&error, error.hint()), server_away, class }
}

/// A server that could not even be asked, as the configuration of its client is missing or wrong, is not merely away.
fn class(ours: bool) -> ErrorClass {
    if ours { ErrorClass::Config } else { ErrorClass::Transient }
}

fn with_hint(error: &dyn std::fmt::Display, hint: Option<String>) -> String {
    match hint {
        Some(hint) => format!("{error}; hint: {hint}"),
        None => error.to_string(),
    }
}

#[cfg(feature = "kubernetes")]
pub(super) async fn kubernetes(
    servers: &Servers,
    sink: &KubernetesSink,
    record: &Record,
) -> Result<Done, Trouble> {
    use crate::domain::Secret;
    use crate::kubernetes::{Stamp, Written};

    let (token, member) = member(record)?;
    let rendered = fields::render(sink.keys.as_ref(), member).map_err(|error| error.to_string())?;
    let text = |field: &fields::Field| String::from_utf8_lossy(&field.to_bytes()).into_owned();
    let data = rendered.iter().map(|(key, field)| (key.clone(), Secret::new(text(field)))).collect();
    let stamp = Stamp {
        account: record.account.clone(),
        generation: token.meta.generation,
        issued_at: token.meta.issued_at,
    };
    let put = servers.cluster.put(sink, &data, &stamp).await.map_err(|error| kube_trouble(&error, sink))?;
    let newer = put.written == Written::NewerThere;
    Ok(Done {
        held: vec![token.meta.generation],
        written: matches!(put.written, Written::Created | Written::Updated),
        print: 0,
        warnings: newer.then(|| NEWER.to_owned()).into_iter().collect(),
        look: None,
        tenure: Tenure::Unknown,
        displaced: false,
    })
}

#[cfg(feature = "kubernetes")]
pub(super) async fn delete_from_kubernetes(
    servers: &Servers,
    sink: &KubernetesSink,
    account: &AccountId,
) -> Result<bool, Trouble> {
    let removed = servers.cluster.delete(sink, account).await.map_err(|error| kube_trouble(&error, sink))?;
    Ok(removed != crate::kubernetes::Removed::Nothing)
}

#[cfg(feature = "kubernetes")]
fn kube_trouble(error: &crate::kubernetes::KubeError, sink: &KubernetesSink) -> Trouble {
    let (server_away, class) = (error.server_away(), class(error.is_ours()));
    Trouble { message: with_hint(error, error.hint(sink)), server_away, class }
}

#[cfg(not(feature = "kubernetes"))]
const LEFT_OUT: &str =
    "this renewd was built without Kubernetes; hint: build it with the feature `kubernetes`";

#[cfg(not(feature = "kubernetes"))]
pub(super) async fn kubernetes(_: &Servers, _: &KubernetesSink, _: &Record) -> Result<Done, Trouble> {
    Err(LEFT_OUT.to_owned().into())
}

#[cfg(not(feature = "kubernetes"))]
pub(super) async fn delete_from_kubernetes(
    _: &Servers,
    _: &KubernetesSink,
    _: &AccountId,
) -> Result<bool, Trouble> {
    Err(LEFT_OUT.to_owned().into())
}
