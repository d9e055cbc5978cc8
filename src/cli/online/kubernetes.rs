//! What the Kubernetes API has to give: the rights and the room for each Secret. Nothing is written (`dryRun`).

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::cli::{out, report};
use crate::config::model::{Config, KubernetesSink, Sink};
use crate::domain::{AccountId, Generation, Timestamp, TokenDocument};
use crate::kubernetes::{Cluster, KubeError, Origin, Stamp};

/// So many Secrets at a time, as in a running agent.
const AT_A_TIME: usize = 16;

/// Rehearses the write of each Secret; says on standard error what it finds. Whether all is well.
pub(super) async fn check(config: &Config) -> bool {
    let mut sinks = config.accounts.values().flat_map(|account| {
        account.sinks.iter().filter_map(|sink| match sink {
            Sink::Kubernetes(secret) => Some((account.name.clone(), sink.id(), secret.clone())),
            Sink::File(_) | Sink::Vault(_) => None,
        })
    });
    let cluster = Arc::new(Cluster::new(Origin::Environment));
    let (mut running, mut well) = (JoinSet::new(), true);
    // The first one goes alone: a server that is away, or knows nobody, is told once.
    let Some((account, id, sink)) = sinks.next() else { return true };
    let outcome = rehearse(&cluster, &account, &sink).await;
    let away = outcome.as_ref().is_err_and(KubeError::server_away);
    well &= told(&account, &id, &sink, outcome);
    if away {
        return false;
    }
    loop {
        while running.len() < AT_A_TIME
            && let Some((account, id, sink)) = sinks.next()
        {
            let cluster = Arc::clone(&cluster);
            running.spawn(async move {
                let outcome = rehearse(&cluster, &account, &sink).await;
                (account, id, sink, outcome)
            });
        }
        match running.join_next().await {
            None => return well,
            Some(Ok((account, id, sink, outcome))) => well &= told(&account, &id, &sink, outcome),
            Some(Err(_)) => well = false,
        }
    }
}

async fn rehearse(cluster: &Cluster, account: &AccountId, sink: &KubernetesSink) -> Result<(), KubeError> {
    let keys: Vec<String> = match &sink.keys {
        Some(keys) => keys.keys().cloned().collect(),
        None => TokenDocument::FIELDS.iter().map(|name| (*name).to_owned()).collect(),
    };
    // Of the stamp only the account matters here.
    let stamp =
        Stamp { account: account.clone(), generation: Generation(0), issued_at: Timestamp::from_secs(0) };
    cluster.rehearse(sink, &keys, &stamp).await
}

fn told(account: &AccountId, id: &str, sink: &KubernetesSink, outcome: Result<(), KubeError>) -> bool {
    match outcome {
        Ok(()) => {
            out::complain(&format!("{id}: can be written\n"));
            true
        }
        Err(error) => {
            let message = format!("account `{account}`, sink {id}: {error}");
            report::finding(true, &message, error.hint(sink).as_deref());
            false
        }
    }
}
