//! What a TLS connection trusts and shows: TLS 1.2 at least, no switch that turns verification off. And why one failed:
//! [`chain`]. Imports nothing.
//!
//! The configuration for the system's roots is made once and shared: 3 KiB a client instead of 107.

mod chain;

pub use chain::chain;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

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

/// What the configuration calls the files, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    /// The roots.
    pub ca_file: &'static str,
    /// The certificate that a client shows.
    pub cert_file: &'static str,
    /// Its key.
    pub key_file: &'static str,
}

/// The configuration for own roots and identity (certificate chain, key), or the shared one. Blocks for the files.
///
/// # Errors
/// A file that is missing or is not what it should be, in words that hold nothing of its content.
pub fn config(
    ca_file: Option<&Path>,
    identity: Option<&(PathBuf, PathBuf)>,
    fields: Fields,
) -> Result<ClientConfig, String> {
    let unusable = || "TLS cannot be set up".to_owned();
    if ca_file.is_none() && identity.is_none() {
        return SHARED.clone().ok_or_else(unusable);
    }
    let roots = match ca_file {
        None => Arc::clone(&SYSTEM_ROOTS),
        Some(path) => Arc::new(named_roots(path, fields.ca_file)?),
    };
    let builder = builder(roots).ok_or_else(unusable)?;
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificates, key)) => {
            let chain = pem_file(certificates, fields.cert_file)?;
            let key = PrivateKeyDer::from_pem_slice(&read(key, fields.key_file)?)
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
        if let Ok(pem) = std::fs::read(&path) {
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

fn named_roots(path: &Path, field: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(pem_file(path, field)?);
    if taken == 0 {
        return Err(format!("{field} holds no certificate that can be a root"));
    }
    Ok(roots)
}

fn pem_file(path: &Path, field: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path, field)?).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(format!("{field} holds no certificate in PEM")),
    }
}

fn read(path: &Path, field: &str) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
    let bytes = std::fs::read(path);
    bytes.map(zeroize::Zeroizing::new).map_err(|error| format!("{field} cannot be read: {}", error.kind()))
}
