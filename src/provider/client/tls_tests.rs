use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::stand_in::{GOOD, exchange, http, plain, read_request, serve_streams, testdata};
use super::*;

fn pem(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
}

/// A stand-in with one of the certificates in `testdata`; wants a client's where asked to.
fn server(name: &str, wants_client: bool) -> std::net::SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(pem(&testdata("ca.pem")));
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.unwrap().with_client_cert_verifier(verifier)
    } else {
        builder.unwrap().with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(testdata(&format!("{name}.key"))).unwrap();
    let config = Arc::new(builder.with_single_cert(pem(&testdata(&format!("{name}.pem"))), key).unwrap());
    let (address, _) = serve_streams(move |stream, _| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        while read_request(&mut stream).is_some() {
            let _ = stream.write_all(&http("200 OK", "", GOOD.as_bytes()));
        }
    });
    address
}

fn trusting(port: u16) -> Account {
    let mut account = plain(&format!("https://localhost:{port}/"));
    account.http.ca_file = Some(testdata("ca.pem"));
    account
}

#[tokio::test]
async fn a_named_root_is_trusted_and_nothing_else_is() {
    let good = server("good", false).port();
    assert!(exchange(&Clients::new(), &trusting(good)).await.is_ok());
    let mut system = trusting(good);
    system.http.ca_file = None;
    for (account, words) in [
        (
            system,
            "the provider's certificate is signed by nobody that this host trusts: http.ca_file must name the root that signed it",
        ),
        (
            trusting(server("selfsigned", false).port()),
            "the provider's certificate is a CA's own: let that CA sign one for the server, and name the CA in http.ca_file",
        ),
        (trusting(server("expired", false).port()), "the provider's certificate has expired"),
        (trusting(server("other", false).port()), "the provider's certificate is for another name"),
    ] {
        let failure = exchange(&Clients::new(), &account).await.unwrap_err();
        let words = format!("{}: {words}", account.host);
        assert_eq!((failure.class, failure.message), (ErrorClass::Transient, words));
        assert!(!failure.ambiguous, "nothing was sent");
    }
}

#[tokio::test]
async fn a_client_shows_its_certificate_where_one_is_configured() {
    let port = server("good", true).port();
    let refused = exchange(&Clients::new(), &trusting(port)).await.unwrap_err();
    assert_eq!(refused.message, format!("localhost:{port}: the provider refuses the TLS connection"));
    let mut account = trusting(port);
    account.http.client_identity = Some((testdata("client.pem"), testdata("client.key")));
    assert!(exchange(&Clients::new(), &account).await.is_ok());
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_is_named() {
    let (address, _) = serve_streams(|mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        std::thread::sleep(Duration::from_secs(2));
    });
    let failure = exchange(&Clients::new(), &trusting(address.port())).await.unwrap_err();
    assert_eq!(failure.message, format!("localhost:{}: the port does not speak TLS", address.port()));
}

#[tokio::test]
async fn pem_files_that_cannot_be_used_are_our_own_fault() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::File::create(&empty).unwrap();
    let with = |change: &dyn Fn(&mut Http)| {
        let mut account = trusting(1);
        change(&mut account.http);
        account
    };
    let missing = folder.path().join("missing.pem");
    for (account, words) in [
        (with(&|http| http.ca_file = Some(missing.clone())), "http.ca_file cannot be read: entity not found"),
        (with(&|http| http.ca_file = Some(empty.clone())), "http.ca_file holds no certificate in PEM"),
        (
            with(&|http| http.client_identity = Some((testdata("client.pem"), empty.clone()))),
            "http.client_key_file holds no private key in PEM",
        ),
        (
            with(&|http| http.client_identity = Some((testdata("client.pem"), testdata("good.key")))),
            "http.client_key_file does not belong to http.client_cert_file",
        ),
    ] {
        let failure = exchange(&Clients::new(), &account).await.unwrap_err();
        assert_eq!((failure.class, failure.message.as_str()), (ErrorClass::Config, words));
    }
}

#[tokio::test]
async fn a_ca_file_that_becomes_a_fifo_fails_its_account_and_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::copy(testdata("ca.pem"), &ca).unwrap();
    let port = server("good", false).port();
    let (good, mut bad) = (trusting(port), trusting(port));
    bad.http.ca_file = Some(ca.clone());
    let clients = Clients::new();
    assert!(exchange(&clients, &bad).await.is_ok());
    std::fs::remove_file(&ca).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&ca).status().unwrap().success());
    let failure = exchange(&clients, &bad).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.message.as_str()),
        (ErrorClass::Config, "http.ca_file is not a regular file")
    );
    assert!(exchange(&clients, &good).await.is_ok());
}

#[tokio::test]
async fn a_replaced_ca_file_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::copy(testdata("good.pem"), &ca).unwrap();
    let mut account = trusting(server("good", false).port());
    account.http.ca_file = Some(ca.clone());
    let clients = Clients::new();
    assert!(exchange(&clients, &account).await.is_err());
    std::fs::copy(testdata("ca.pem"), &ca).unwrap();
    // The same length may come with the same second on a coarse file system.
    let later = std::fs::metadata(&ca).unwrap().modified().unwrap() + Duration::from_secs(5);
    std::fs::File::options().write(true).open(&ca).unwrap().set_modified(later).unwrap();
    assert!(exchange(&clients, &account).await.is_ok());
}
