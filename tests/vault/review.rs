//! A stand-in of the Kubernetes API's TokenReview, over TLS with the tests' own root.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::bao::testdata;

/// Takes `good` for the service account `renewd` of the namespace `apps`, and no other; gives its port. It ends with
/// the test's process.
pub(crate) fn serve(good: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_file_iter(testdata("good.pem")).unwrap().map(Result::unwrap).collect();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(testdata("good.key")).unwrap())
        .unwrap();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(connection, stream));
            // One request a connection: the server's client does not mind.
            let Some(body) = read(&mut stream) else { continue };
            let authenticated = body["spec"]["token"] == good;
            let mut status = json!({ "authenticated": authenticated });
            if authenticated {
                // As an API server that knows of audiences: those that were asked for and fit.
                status["audiences"] = body["spec"]["audiences"].clone();
                status["user"] = json!({
                    "username": "system:serviceaccount:apps:renewd", "uid": "6f5c", "groups": ["system:authenticated"],
                });
            }
            let reply =
                json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status })
                    .to_string();
            let head = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nConnection: close\r\n";
            let _ = write!(stream.get_mut(), "{head}Content-Length: {}\r\n\r\n{reply}", reply.len());
            let _ = stream.get_mut().flush();
            stream.get_mut().conn.send_close_notify();
            let _ = stream.get_mut().flush();
        }
    });
    port
}

fn read(stream: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
