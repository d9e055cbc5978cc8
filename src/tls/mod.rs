//! What a TLS connection trusts and shows: TLS 1.2 at least, no switch that turns verification off. And why one failed:
//! [`chain`]. Imports `patience`.
//!
//! The configuration for the system's roots is made once and shared: 3 KiB a client instead of 107.

mod chain;
mod files;

pub use chain::chain;
pub use files::{Fields, Files, Stamps};

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use self::files::{LARGEST, Pem};
use crate::patience;

/// Where Linux distributions and BSDs keep their bundle (the list of Go's crypto/x509).
const BUNDLES: [&str; 7] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// The configuration for these roots and this identity (certificate chain, key), or the shared one.
fn made_of([roots, chain, key]: [Option<Pem>; 3], fields: Fields) -> Result<ClientConfig, String> {
    let unusable = || "TLS cannot be set up".to_owned();
    if roots.is_none() && chain.is_none() {
        return SHARED.clone().ok_or_else(unusable);
    }
    let roots = match roots {
        None => Arc::clone(&SYSTEM_ROOTS),
        Some(pem) => Arc::new(named_roots(&pem, fields.ca_file)?),
    };
    let builder = builder(roots).ok_or_else(unusable)?;
    let mut config = match chain.zip(key) {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = certificates(&chain, fields.cert_file)?;
            let key = PrivateKeyDer::from_pem_slice(&key)
                .map_err(|_| format!("{} holds no private key in PEM", fields.key_file))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|_| format!("{} does not belong to {}", fields.key_file, fields.cert_file))?
        }
    };
    config.alpn_protocols = alpn();
    Ok(config)
}

static SHARED: LazyLock<Option<ClientConfig>> = LazyLock::new(|| {
    let mut config = builder(Arc::clone(&SYSTEM_ROOTS))?.with_no_client_auth();
    config.alpn_protocols = alpn();
    Some(config)
});

/// The system's bundle (or `$SSL_CERT_FILE`); Mozilla's, as compiled in, where there is none.
static SYSTEM_ROOTS: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let mut roots = RootCertStore::empty();
    for path in named.into_iter().chain(BUNDLES.map(PathBuf::from)) {
        if let Ok(pem) = patience::read(&path, LARGEST) {
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
        }
        if !roots.is_empty() {
            return Arc::new(roots);
        }
    }
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    Arc::new(roots)
});

fn builder(
    roots: Arc<RootCertStore>,
) -> Option<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    Some(
        builder
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .ok()?
            .with_root_certificates(roots),
    )
}

fn alpn() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

fn named_roots(pem: &Pem, field: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(certificates(pem, field)?);
    if taken == 0 {
        return Err(format!("{field} holds no certificate that can be a root"));
    }
    Ok(roots)
}

fn certificates(pem: &Pem, field: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(format!("{field} holds no certificate in PEM")),
    }
}
