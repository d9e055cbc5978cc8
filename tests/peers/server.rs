//! A server in Node.js: started on a free port, waited for until it says that it listens, ended by its process id.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::room::Room;
use super::{http, secs, wait};

pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
}

/// An exchange that the token endpoint has seen.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Exchange {
    /// Milliseconds.
    pub(crate) at: i64,
    pub(crate) client: Option<String>,
    pub(crate) grant: Option<String>,
    pub(crate) scope: Option<String>,
    /// `basic` or `body`.
    pub(crate) auth: String,
    pub(crate) status: u16,
    pub(crate) error: Option<String>,
    /// When the whole reply had been sent, where it was and the server notes that. Milliseconds.
    pub(crate) sent: Option<i64>,
}

impl Server {
    /// One of `tests/peers/servers`.
    pub(crate) fn start(room: &Room, script: &str, env: &[(&str, &str)]) -> Self {
        Self::node(room, script, Path::new(&servers(&format!("{script}.mjs"))), &[], env)
    }

    /// prism's mock server, which answers by the document and notes each violation of it.
    pub(crate) fn prism(room: &Room, name: &str, document: &Path, options: &[&str]) -> Self {
        let prism = room.peers.join("node_modules/@stoplight/prism-cli/dist/index.js");
        let document = document.to_str().unwrap();
        let fixed = ["mock", "--errors", "--host", "127.0.0.1", "--port", "0"];
        Self::node(room, name, &prism, &[&fixed, options, &[document]].concat(), &[])
    }

    fn node(room: &Room, name: &str, script: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let log = room.path(&format!("{name}.log"));
        let (stdout, stderr) =
            (File::create(&log).unwrap(), File::options().append(true).open(&log).unwrap());
        let child = Command::new("node")
            .arg("--require")
            .arg(servers("end-with-parent.cjs"))
            .arg(script)
            .args(arguments)
            .env("RENEWD_PEERS", &room.peers)
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .expect("node starts");
        let mut server = Self { child, url: String::new() };
        server.url = wait(&format!("{name} listens"), secs(60), || {
            assert!(server.child.try_wait().unwrap().is_none(), "{name} has ended: see its log");
            let text = std::fs::read_to_string(&log).unwrap();
            let (_, rest) = text.split_once("listening on ")?;
            Some(rest.split_once('\n')?.0.to_owned())
        });
        server
    }

    /// What a door under `/_test/` answers.
    #[track_caller]
    pub(crate) fn door(&self, query: &str) -> Value {
        let (status, answer) = http::get(&self.url, &format!("/_test/{query}"));
        assert_eq!(status, 200, "{query}: {answer}");
        answer
    }

    /// A first refresh token for `client`.
    pub(crate) fn seed(&self, client: &str) -> String {
        self.door(&format!("seed?client={client}")).as_str().expect("a refresh token").to_owned()
    }

    /// The token endpoint's exchanges so far.
    pub(crate) fn log(&self) -> Vec<Exchange> {
        serde_json::from_value(self.door("log")).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn servers(file: &str) -> String {
    format!("{}/tests/peers/servers/{file}", env!("CARGO_MANIFEST_DIR"))
}
