//! Accounts' secrets that stand in Vault. Who is about to ask a provider has a place at the provider's host while it reads
//! them: a Vault that hangs must not keep it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::clock;
use crate::config::model::VaultKey;
use crate::domain::{BootInstant, Secret, human_duration};
use crate::vault::{KeyReading, VaultClient, VaultError};

/// How long a hurried read waits for the answer.
const PATIENCE: Duration = Duration::from_millis(800);
/// After one that waited in vain, others do not wait at all for so long.
const SULK: Duration = Duration::from_secs(5);
/// An answer that came later is good for so long.
const LATE: Duration = Duration::from_secs(30);

/// Reads keys, one read of each at a time.
pub(crate) struct Keys {
    client: Arc<VaultClient>,
    /// Hurried reads whose answer was not waited for.
    open: Mutex<HashMap<VaultKey, Reading>>,
    hung: Mutex<Option<BootInstant>>,
}

/// What was read, and when it was there.
type Reading = JoinHandle<(Result<KeyReading, VaultError>, BootInstant)>;

/// Why there is no secret.
pub(crate) struct NotRead {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// The server's fault: the secret may well be there.
    pub(crate) away: bool,
    /// So may one in a file that does not answer.
    pub(crate) silent: bool,
}

impl Keys {
    pub(crate) fn new(client: Arc<VaultClient>) -> Self {
        Self { client, open: Mutex::default(), hung: Mutex::default() }
    }

    /// Reads, and waits for it.
    pub(crate) async fn read(&self, key: &VaultKey) -> Result<Secret, NotRead> {
        self.client.read_key(key).await.map(|reading| reading.secret).map_err(not_read)
    }

    /// Reads, and gives up soon; the read itself goes on, and the next one takes its answer.
    pub(crate) async fn read_soon(&self, key: &VaultKey) -> Result<Secret, NotRead> {
        let now = clock::now().boot;
        let before = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        let mut reading = match before {
            Some(before) if !before.is_finished() => before,
            Some(before) => match before.await {
                Ok((Ok(read), at)) if now.since(at) < LATE => return Ok(read.secret),
                _ => self.begin(key),
            },
            None => self.begin(key),
        };
        let hung = *self.hung.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = if hung.is_some_and(|at| now.since(at) < SULK) { Duration::ZERO } else { PATIENCE };
        match timeout(patience, &mut reading).await {
            Ok(Ok((read, _))) => {
                *self.hung.lock().unwrap_or_else(PoisonError::into_inner) = None;
                read.map(|read| read.secret).map_err(not_read)
            }
            Ok(Err(_)) => Err(NotRead {
                message: "internal fault while reading".to_owned(),
                hint: None,
                away: true,
                silent: false,
            }),
            Err(_) => {
                if !patience.is_zero() {
                    *self.hung.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock::now().boot);
                }
                self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), reading);
                Err(NotRead {
                    message: format!("Vault has not answered within {} yet", human_duration(PATIENCE)),
                    hint: Some("is vault.address right, and is Vault well?".to_owned()),
                    away: true,
                    silent: false,
                })
            }
        }
    }

    fn begin(&self, key: &VaultKey) -> Reading {
        let (client, key) = (Arc::clone(&self.client), key.clone());
        tokio::spawn(async move { (client.read_key(&key).await, clock::now().boot) })
    }
}

fn not_read(error: VaultError) -> NotRead {
    NotRead { message: error.to_string(), hint: error.hint(), away: error.server_away(), silent: false }
}
