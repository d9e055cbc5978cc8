//! What the API server says beside a status, and why it could not be reached, in our own words. Its messages are not
//! repeated: they may hold what was sent.

use std::error::Error;
use std::io;

use serde::Deserialize;

use super::error::{Conflict, KubeError, Verb};
use crate::config::model::KubernetesSink;

/// A `metav1.Status`: the parts that are looked at.
#[derive(Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
struct Details {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    causes: Vec<Cause>,
}

#[derive(Debug, Deserialize)]
struct Cause {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    field: String,
}

/// What a refusal means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no such Secret.
    Absent,
    /// It is no more what was read.
    Moved,
    /// It stays refused until something changes.
    Error(KubeError),
}

/// Reads a reply that is no success. 401, 429 and 5xx are known already.
pub(super) fn refusal(status: u16, body: &[u8], verb: Verb, sink: &KubernetesSink) -> Refusal {
    let Some(said) = serde_json::from_slice::<Status>(body).ok().filter(|said| !said.reason.is_empty())
    else {
        return Refusal::Error(match status {
            // The limit on a request's size is enforced before anything knows of a Status.
            400 | 405 | 413 | 415 => KubeError::Unexpected { status, reason: None },
            _ => KubeError::NotKubernetes,
        });
    };
    let details = said.details.unwrap_or_default();
    let leaving = details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating");
    Refusal::Error(match status {
        403 if leaving => KubeError::NamespaceLeaving(sink.namespace.clone()),
        403 => KubeError::Forbidden {
            verb: verb_of(&said.message).unwrap_or(verb),
            namespace: sink.namespace.clone(),
            name: sink.secret.clone(),
            user: between(&said.message, "User \"", '"').and_then(name),
        },
        404 if details.kind == "namespaces" => KubeError::NamespaceMissing(sink.namespace.clone()),
        404 => return Refusal::Absent,
        409 => {
            let conflicts: Vec<Conflict> = details.causes.iter().filter_map(conflict).collect();
            if conflicts.is_empty() {
                return Refusal::Moved;
            }
            KubeError::Owned(conflicts)
        }
        422 if details.causes.iter().any(|cause| cause.message.contains("field is immutable")) => {
            KubeError::Immutable
        }
        422 => {
            let fields: Vec<String> = details.causes.iter().filter_map(|cause| name(&cause.field)).collect();
            let fields = if fields.is_empty() { "no field named".to_owned() } else { fields.join(", ") };
            KubeError::Invalid(fields)
        }
        _ => KubeError::Unexpected { status, reason: name(&said.reason) },
    })
}

/// `conflict with "kubectl-edit" using v1` at `.data.token`.
fn conflict(cause: &Cause) -> Option<Conflict> {
    if cause.reason != "FieldManagerConflict" {
        return None;
    }
    let manager = between(&cause.message, "conflict with \"", '"').and_then(name);
    let field = cause.field.strip_prefix(".data.").unwrap_or(&cause.field);
    Some(Conflict {
        field: name(field).unwrap_or_else(|| "?".to_owned()),
        manager: manager.unwrap_or_else(|| "an unnamed manager".to_owned()),
    })
}

/// `... cannot create resource "secrets" ...`: which verb RBAC missed; an apply may need two.
fn verb_of(message: &str) -> Option<Verb> {
    let word = between(message, " cannot ", ' ')?;
    [Verb::Get, Verb::Create, Verb::Patch, Verb::Delete].into_iter().find(|verb| verb.word() == word)
}

fn between<'a>(text: &'a str, before: &str, after: char) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// A name that may be repeated: short, printable, of the server's own making.
fn name(text: &str) -> Option<String> {
    let fits = !text.is_empty()
        && text.len() <= 256
        && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    fits.then(|| text.to_owned())
}

/// Why there was no reply. An error of the HTTP stack is never printed as it is: it may hold URLs and what was sent.
pub(super) fn unreachable(error: &(dyn Error + 'static)) -> KubeError {
    let chain = || std::iter::successors(Some(error), |error| inner(*error));
    if let Some(kube::error::Error::Auth(_)) = chain().find_map(|error| error.downcast_ref::<kube::Error>()) {
        return credentials();
    }
    if chain().any(|error| error.is::<kube::client::AuthError>()) {
        return credentials();
    }
    if let Some(tls) = chain().find_map(|error| error.downcast_ref::<rustls::Error>()) {
        return KubeError::Unreachable(match tls {
            rustls::Error::InvalidCertificate(why) => {
                format!("its certificate is refused ({})", certificate(why))
            }
            _ => "TLS fails".to_owned(),
        });
    }
    let io = chain().filter_map(|error| error.downcast_ref::<io::Error>()).last();
    KubeError::Unreachable(
        match io.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => "the connection is refused",
            Some(
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof,
            ) => "the connection broke",
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                "there is no route to it"
            }
            Some(io::ErrorKind::TimedOut) => "the connection takes too long",
            _ if chain().any(|error| error.to_string().contains("dns error")) => {
                "its name cannot be resolved (DNS)"
            }
            _ => "the connection failed",
        }
        .to_owned(),
    )
}

/// The cause of an error; a TLS error hides in an `io::Error` that does not name it as its source.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn credentials() -> KubeError {
    KubeError::Configuration("its credentials cannot be had".to_owned())
}

fn certificate(error: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as Error;
    match error {
        Error::Expired | Error::ExpiredContext { .. } => "expired",
        Error::NotValidYet | Error::NotValidYetContext { .. } => "not valid yet",
        Error::UnknownIssuer => "issued by an unknown authority",
        Error::NotValidForName | Error::NotValidForNameContext { .. } => "made for another name",
        _ => "not valid",
    }
}
