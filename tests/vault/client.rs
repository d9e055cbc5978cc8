//! The client under test and what it is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use renewd::config::model::{KvVersion, OnRemove, SecretSource, Vault, VaultAuth, VaultSink};
use renewd::domain::{BootInstant, Generation, Timestamp};
use renewd::runtime::clock;
use renewd::vault::{Clock, Fields, Resolve, Stamp, VaultClient};
use serde_json::{Value, json};

use crate::bao::{Bao, Listener, testdata};

/// As the runtime resolves: really.
pub(crate) fn resolve() -> Resolve {
    Arc::new(|source| {
        Box::pin(async move {
            let environment = renewd::secrets::process_environment;
            renewd::secrets::resolve(&source, &environment).await.map_err(|error| error.to_string())
        })
    })
}

pub(crate) fn settings(bao: &Bao, listener: Listener, auth: VaultAuth) -> Vault {
    Vault {
        address: bao.address().parse().unwrap(),
        namespace: None,
        ca_file: (listener == Listener::Tls).then(|| testdata("ca.pem")),
        auth,
    }
}

/// One that is logged in with a secret that stands in its configuration.
pub(crate) fn with_token(bao: &Bao, token: &str) -> VaultClient {
    with(settings(bao, Listener::Plain, VaultAuth::Token(inline(token))))
}

pub(crate) fn with(settings: Vault) -> VaultClient {
    VaultClient::new(Arc::new(settings), resolve(), Arc::new(|| clock::now().boot))
}

/// The boot-time clock and a hand on it.
#[derive(Clone, Default)]
pub(crate) struct Ahead(Arc<AtomicU64>);

impl Ahead {
    pub(crate) fn by(&self, secs: u64) {
        self.0.fetch_add(secs * 1000, Ordering::Relaxed);
    }

    pub(crate) fn clock(&self) -> Clock {
        let ahead = Arc::clone(&self.0);
        Arc::new(move || BootInstant(clock::now().boot.0 + ahead.load(Ordering::Relaxed)))
    }
}

pub(crate) fn inline(text: &str) -> SecretSource {
    SecretSource::Inline(text.into())
}

pub(crate) fn sink(path: &str) -> VaultSink {
    let (mount, path) = path.split_once('/').unwrap();
    VaultSink {
        mount: mount.into(),
        path: path.into(),
        kv: if mount == "kv1" { KvVersion::V1 } else { KvVersion::V2 },
        fields: None,
        on_remove: OnRemove::Keep,
    }
}

/// A token document of that generation, issued so many minutes into 2026.
pub(crate) fn document(generation: u64, minute: i64) -> (Fields, Stamp) {
    let stamp = stamp(generation, minute);
    (fields(document_json(generation, minute)), stamp)
}

pub(crate) fn document_json(generation: u64, minute: i64) -> Value {
    json!({
        "account": "messaging", "provider": "bizppurio", "access_token": format!("token-{generation}-{minute}"),
        "token_type": "Bearer", "issued_at": stamp(generation, minute).issued_at, "expires_at_unix": 1_800_000_000_u64,
        "generation": generation, "extra": { "scope": "send" },
    })
}

pub(crate) fn stamp(generation: u64, minute: i64) -> Stamp {
    Stamp { generation: Generation(generation), issued_at: Timestamp::from_secs(1_767_225_600 + minute * 60) }
}

pub(crate) fn fields(value: Value) -> Fields {
    let Value::Object(fields) = value else { panic!("no object: {value}") };
    Fields::new(fields)
}
