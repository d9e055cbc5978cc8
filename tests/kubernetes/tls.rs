//! TLS in front of the double, by the certificates that the provider client's tests have.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How long one direction is listened to before it is the other's turn.
const TURN: Duration = Duration::from_millis(5);

/// A test's certificate or key.
pub(crate) fn testdata(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/provider/client/testdata")).join(name)
}

/// Listens on 127.0.0.1 with the certificate `good.pem`, and hands on what comes to `server`, for as long as the test runs.
pub(crate) fn before(server: &str) -> SocketAddr {
    let certificates = CertificateDer::pem_file_iter(testdata("good.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(testdata("good.key")).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates.map(Result::unwrap).collect(), key)
        .unwrap();
    let (config, server) = (Arc::new(config), server.to_owned());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            let far = TcpStream::connect(&server).unwrap();
            std::thread::spawn(move || hand_on(StreamOwned::new(tls, near), far));
        }
    });
    address
}

/// Both ways, until one side is done or refuses the certificate.
fn hand_on(mut near: StreamOwned<ServerConnection, TcpStream>, mut far: TcpStream) {
    near.sock.set_read_timeout(Some(TURN)).unwrap();
    far.set_read_timeout(Some(TURN)).unwrap();
    let mut buffer = [0; 16 << 10];
    loop {
        for nears_turn in [true, false] {
            let read = if nears_turn { near.read(&mut buffer) } else { far.read(&mut buffer) };
            let written = match read {
                Ok(0) => return,
                Ok(count) if nears_turn => far.write_all(&buffer[..count]),
                Ok(count) => near.write_all(&buffer[..count]).and_then(|()| near.flush()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
                Err(_) => return,
            };
            if written.is_err() {
                return;
            }
        }
    }
}
