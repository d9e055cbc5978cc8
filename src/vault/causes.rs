//! Why a request got no whole reply, in words. Errors of the HTTP stack are never printed as they are.

use std::io;

use rustls::CertificateError;

use super::VaultError;
use crate::tls::chain;

/// Makes an error of reqwest's.
pub(super) fn error(error: &reqwest::Error) -> VaultError {
    if let Some(tls) = chain(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return VaultError::Tls(tls_words(tls));
    }
    if error.is_timeout() {
        // The only limit that the HTTP client itself has.
        return VaultError::NotReached("timed out while connecting");
    }
    if error.is_dns() {
        return VaultError::NotReached("the host's name cannot be resolved (DNS)");
    }
    let kind = chain(error).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    VaultError::NotReached(match kind {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused",
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => "the connection was reset",
        Some(io::ErrorKind::UnexpectedEof) => "the connection was closed in the middle",
        Some(io::ErrorKind::NetworkUnreachable) => "the network is unreachable",
        Some(io::ErrorKind::HostUnreachable) => "the host is unreachable",
        _ if error.is_connect() => "the connection failed",
        _ if error.is_decode() => "the reply's body cannot be decoded",
        _ => "the connection broke",
    })
}

fn tls_words(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(flaw) => match flaw {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet: check this host's clock"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            CertificateError::UnknownIssuer => "its certificate is signed by nobody that this host trusts",
            CertificateError::Revoked => "its certificate has been revoked",
            _ => "its certificate is not valid",
        },
        rustls::Error::AlertReceived(_) => "it refuses the connection (does it want a client certificate?)",
        rustls::Error::InvalidMessage(_) => "the port does not speak TLS",
        rustls::Error::PeerIncompatible(_) => "it speaks no TLS 1.2 or newer that fits",
        _ => "the handshake failed",
    }
}
