//! What Vault has to give: the login, the accounts' secrets, the places of sinks. Nothing is written there.

use std::sync::Arc;

use crate::cli::{out, report};
use crate::config::model::{Config, SecretSource, Sink};
use crate::runtime;
use crate::vault::{VaultClient, VaultError};

/// Logs in, reads what accounts need and looks at where sinks write; says on standard error what it finds. Whether all is
/// well. Nothing is asked where no sink and no secret needs Vault.
pub(super) async fn check(config: &Config) -> bool {
    let Some(settings) = config.vault.clone().filter(|_| is_needed(config)) else { return true };
    let address = settings.address.clone();
    let client = runtime::vault_client(Arc::clone(&settings));
    if let Err(error) = client.maintain().await {
        tell(&format!("vault {address}"), &error);
        return false;
    }
    out::complain(&format!("vault {address}: the login works\n"));
    let secrets = secrets(config, &client).await;
    sinks(config, &client).await && secrets
}

fn is_needed(config: &Config) -> bool {
    config.accounts.values().any(|account| {
        account.sinks.iter().any(|sink| matches!(sink, Sink::Vault(_)))
            || account.credentials.values().any(|source| matches!(source, SecretSource::Vault(_)))
    })
}

async fn secrets(config: &Config, client: &VaultClient) -> bool {
    let mut well = true;
    for account in config.accounts.values() {
        for (credential, source) in &account.credentials {
            let SecretSource::Vault(key) = source else { continue };
            if let Err(error) = client.read_key(key).await {
                well = false;
                tell(&format!("account `{}`, credential `{credential}`", account.name), &error);
            }
        }
    }
    well
}

async fn sinks(config: &Config, client: &VaultClient) -> bool {
    let mut well = true;
    for account in config.accounts.values() {
        for sink in &account.sinks {
            let Sink::Vault(place) = sink else { continue };
            if let Err(error) = client.rehearse(place).await {
                well = false;
                tell(&format!("account `{}`, sink {}", account.name, sink.id()), &error);
            }
        }
    }
    well
}

fn tell(whose: &str, error: &VaultError) {
    report::finding(true, &format!("{whose}: {error}"), error.hint().as_deref());
}
