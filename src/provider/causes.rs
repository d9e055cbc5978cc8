//! Why a request got no whole reply, in words. Errors of the HTTP stack are never printed as they are: they may hold
//! URLs and what the peer has sent.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use rustls::CertificateError;
use url::Url;

use super::errors::Failure;
use crate::config::model::Http;
use crate::domain::{ErrorClass, host_port, human_duration};
use crate::tls::chain;

/// Whose failure it is, for people: `host:port` of the URL, and of the proxy on the way where there is one.
pub(super) fn place(url: &Url, http: &Http) -> String {
    match &http.proxy {
        Some(proxy) => format!("{} (by the proxy {})", host_port(url), host_port(proxy)),
        None => host_port(url),
    }
}

/// Makes a failure of reqwest's error. It begins with `place`, unless the fault is this host's own.
pub(super) fn failure(error: &reqwest::Error, place: &str, source_address: Option<IpAddr>) -> Failure {
    let failure = meaning(error, source_address);
    match failure.host_fault {
        true => Failure { message: format!("{place}: {}", failure.message), ..failure },
        false => failure,
    }
}

/// No whole reply in the time that there was: it may have reached the provider.
pub(super) fn late(place: &str, timeout: Duration) -> Failure {
    Failure::transport(format!("{place}: no whole reply within {}", human_duration(timeout)), true)
}

fn meaning(error: &reqwest::Error, source_address: Option<IpAddr>) -> Failure {
    // Before the connection stands, nothing can have reached the provider.
    let ambiguous = !error.is_connect();
    let transport = |words: String| Failure::transport(words, ambiguous);
    if error.is_timeout() {
        // The only limit that the HTTP client itself has.
        return transport("timed out while connecting".to_owned());
    }
    if let Some(tls) = find(error, tls_error) {
        return transport(tls_words(tls));
    }
    if error.is_dns() {
        return transport("the host's name cannot be resolved (DNS)".to_owned());
    }
    if let Some(cause) = find(error, |cause| cause.downcast_ref::<io::Error>()) {
        return io_failure(cause, error, ambiguous, source_address);
    }
    // hyper's own errors can be told apart by their words only.
    let words: Vec<String> = chain(error).map(ToString::to_string).collect();
    let says = |what: &str| words.iter().any(|words| words.contains(what));
    let malformed = |words: &str| Failure { class: ErrorClass::Malformed, ..transport(words.to_owned()) };
    if says("message head is too large") {
        malformed("the reply's headers are too large")
    } else if says("invalid HTTP") || says("invalid content-length") || says("unexpected transfer-encoding") {
        malformed("the reply is not HTTP")
    } else if says("connection closed before message completed") {
        transport("the connection was closed without a reply".to_owned())
    } else if error.is_connect() {
        transport(connect_words(error))
    } else {
        transport("the connection broke".to_owned())
    }
}

fn connect_words(error: &reqwest::Error) -> String {
    let proxy =
        chain(error).any(|cause| cause.to_string().contains("tunnel") || cause.to_string().contains("proxy"));
    if proxy { "the proxy refuses the connection" } else { "the connection failed" }.to_owned()
}

fn io_failure(cause: &io::Error, error: &reqwest::Error, ambiguous: bool, source: Option<IpAddr>) -> Failure {
    use io::ErrorKind as Kind;
    // EMFILE and ENFILE have no stable kind.
    const DESCRIPTORS: [i32; 2] = [23, 24];
    let words = match cause.kind() {
        Kind::AddrNotAvailable => {
            return match source {
                Some(address) => {
                    Failure::config(format!("http.source_address {address} is not one of this host's"))
                }
                None => {
                    Failure { host_fault: false, ..Failure::transport("this host is out of ports", false) }
                }
            };
        }
        _ if cause.raw_os_error().is_some_and(|code| DESCRIPTORS.contains(&code)) => {
            return Failure {
                host_fault: false,
                ..Failure::transport("this host is out of file descriptors", false)
            };
        }
        // The decompressor's, or hyper's of chunks.
        Kind::InvalidData | Kind::InvalidInput if error.is_decode() => {
            let words = "the reply's body cannot be decoded";
            return Failure { class: ErrorClass::Malformed, ..Failure::transport(words, ambiguous) };
        }
        Kind::ConnectionRefused => "connection refused",
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => "the connection was reset",
        Kind::UnexpectedEof => "the connection was closed in the middle",
        Kind::NetworkUnreachable | Kind::NetworkDown => "the network is unreachable",
        Kind::HostUnreachable => "the host is unreachable",
        Kind::TimedOut => "the connection timed out",
        Kind::PermissionDenied => "this host's rules forbid the connection",
        _ => return Failure::transport(connect_words(error), ambiguous),
    };
    Failure::transport(words, ambiguous)
}

fn tls_words(error: &rustls::Error) -> String {
    let certificate = |what: &str| format!("the provider's certificate {what}");
    match error {
        rustls::Error::InvalidCertificate(flaw) => certificate(match flaw {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "is not valid yet: check this host's clock"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "is for another name"
            }
            CertificateError::UnknownIssuer => {
                "is signed by nobody that this host trusts: http.ca_file must name the root that signed it"
            }
            CertificateError::Revoked => "has been revoked",
            // webpki's own error type is not ours to name.
            CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
                "is a CA's own: let that CA sign one for the server, and name the CA in http.ca_file"
            }
            _ => "is not valid",
        }),
        rustls::Error::AlertReceived(_) => "the provider refuses the TLS connection".to_owned(),
        rustls::Error::InvalidMessage(_) => "the port does not speak TLS".to_owned(),
        rustls::Error::PeerIncompatible(_) => "the provider speaks no TLS 1.2 or newer that fits".to_owned(),
        _ => "the TLS connection failed".to_owned(),
    }
}

fn tls_error<'e>(cause: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    cause.downcast_ref()
}

fn find<'e, T>(
    error: &'e reqwest::Error,
    pick: impl Fn(&'e (dyn Error + 'static)) -> Option<&'e T>,
) -> Option<&'e T> {
    chain(error).find_map(pick)
}
