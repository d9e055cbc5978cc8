//! The clients that many targets, secrets and hooks share. Cheap to clone; nothing is asked before it is used.

use std::sync::Arc;

use crate::config::model::{Config, SecretSource, Vault};
use crate::domain::Secret;
use crate::hook;
use crate::secrets;
use crate::vault::VaultClient;

use super::clock;
use super::keys::Keys;

/// Vault's name, as the engine has it of the sinks that stand there.
pub(crate) const VAULT: &str = "vault";

/// One of each that the configuration needs.
#[derive(Clone)]
pub(crate) struct Servers {
    settings: Option<Arc<Vault>>,
    /// Where a `vault:` is configured.
    pub(crate) vault: Option<Arc<VaultClient>>,
    /// The accounts' secrets there.
    pub(crate) keys: Option<Arc<Keys>>,
    /// Its configuration is looked for when it is first used.
    #[cfg(feature = "kubernetes")]
    pub(crate) cluster: Arc<crate::kubernetes::Cluster>,
    /// Webhooks share its connections.
    pub(crate) hooks: hook::Runner,
}

impl Servers {
    /// For a configuration that uses none yet.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(crate) fn new() -> Result<Self, String> {
        let fields = crate::tls::Fields { ca_file: "ca_file", cert_file: "cert_file", key_file: "key_file" };
        let tls = crate::tls::Files { ca_file: None, identity: None, fields }.config_now()?;
        let hooks = hook::Runner::new(tls, Arc::new(secrets::process_environment))
            .map_err(|_| "the HTTP client of webhooks cannot be set up".to_owned())?;
        Ok(Self {
            settings: None,
            vault: None,
            keys: None,
            #[cfg(feature = "kubernetes")]
            cluster: Arc::new(crate::kubernetes::Cluster::new(crate::kubernetes::Origin::Environment)),
            hooks,
        })
    }

    /// For that configuration: a client whose settings are the same keeps its login.
    pub(crate) fn adapted_to(&self, config: &Config) -> Self {
        if self.settings == config.vault {
            return self.clone();
        }
        let vault = config.vault.clone().map(|settings| Arc::new(vault_client(settings)));
        let keys = vault.clone().map(|client| Arc::new(Keys::new(client)));
        Self { settings: config.vault.clone(), vault, keys, ..self.clone() }
    }
}

/// A client that reads its login's secrets as this process may.
pub(crate) fn vault_client(settings: Arc<Vault>) -> VaultClient {
    let clock = Arc::new(|| clock::now().boot);
    VaultClient::new(settings, Arc::new(|source| Box::pin(read(source))), clock)
}

/// A secret of a login, which never comes from Vault itself.
async fn read(source: SecretSource) -> Result<Secret, String> {
    secrets::resolve(&source, &secrets::process_environment).await.map_err(|error| match error.hint() {
        Some(hint) => format!("{error}; hint: {hint}"),
        None => error.to_string(),
    })
}
