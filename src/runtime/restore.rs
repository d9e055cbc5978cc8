//! From a loaded configuration and the state directory to what the engine is told: the plan and what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::clock;
use super::credentials::{self, Probe};
use super::issue::{refresh_meta, seeded};
use super::verify::has_candidate;
use crate::config::model::{Account, Config, Hook, TemplateTarget};
use crate::core::{AccountPlan, HookId, Plan, RefreshMeta, Restored, TemplatePlan};
use crate::domain::AccountId;
use crate::store::{Durability, Record, Saving, Schedule, Settled, Store};

/// The sources of so many accounts are looked at at once.
const AT_ONCE: usize = 8;
/// What a request that spends a refresh token may take beside its timeout: to get its secrets and to make its reply durable.
pub(crate) const MARGIN: Duration = Duration::from_secs(1);

/// Everything that a configuration needs to take effect.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) config: Arc<Config>,
    pub(crate) plan: Plan,
    pub(crate) restored: BTreeMap<AccountId, Restored>,
    pub(crate) touched: BTreeSet<AccountId>,
    pub(crate) probes: BTreeMap<AccountId, Probe>,
    /// To be said: what was found in the state directory.
    pub(crate) remarks: Vec<String>,
}

/// What runs now.
#[derive(Debug, Default, Clone)]
pub(crate) struct Running {
    pub(crate) config: Option<Arc<Config>>,
    pub(crate) probes: BTreeMap<AccountId, Probe>,
}

/// Looks at secrets' sources and at stored state of all that is new or has changed.
///
/// What stands in Vault is looked at afterwards: a server that is away must not hold up the configuration.
pub(crate) async fn prepare(mut config: Config, running: Running, store: &Store) -> Prepared {
    let (mut plan, mut restored, mut touched) = (Plan::default(), BTreeMap::new(), BTreeSet::new());
    let (mut probes, mut remarks) = (BTreeMap::new(), Vec::new());
    let old = running.config.as_ref().map(|config| &config.accounts);
    let grace = config.agent.shutdown_grace;
    let known = |name: &AccountId, account: &Arc<Account>| {
        let same = old.and_then(|accounts| accounts.get(name)).filter(|before| *before == account)?;
        Some((same, running.probes.get(name)?))
    };
    let unknown = config.accounts.iter().filter(|(name, account)| known(name, account).is_none());
    let unknown: Vec<_> = unknown.map(|(name, account)| (name.clone(), Arc::clone(account))).collect();
    let mut looked = look_at(unknown, store).await;
    for (name, account) in &mut config.accounts {
        let before = old.and_then(|accounts| accounts.get(name));
        let probe = match known(name, account) {
            Some((same, probe)) => {
                *account = Arc::clone(same);
                probe.clone()
            }
            None => {
                touched.insert(name.clone());
                looked.remove(name).unwrap_or_default()
            }
        };
        let known = running.probes.get(name).filter(|_| before.is_some()).and_then(|probe| probe.identity);
        let moved = matches!((&known, &probe.identity), (Some(one), Some(other)) if one != other);
        if before.is_none() || moved {
            let stored = recall(name, account, &probe, store, &mut remarks);
            restored.insert(name.clone(), stored);
        }
        let identity = probe.identity.as_ref().map(|identity| identity.as_u128());
        let owner = probe.owner.as_ref().map(|owner| owner.as_u128());
        let mut planned = AccountPlan::new(account, identity, owner, hook_ids(&account.on_change, store));
        if planned.single_use {
            // A request that spends a refresh token runs to its end, also when the agent is told to stop.
            planned.timeout = planned.timeout.min(shorter_than(grace));
        }
        plan.accounts.insert(name.clone(), planned);
        probes.insert(name.clone(), probe);
    }
    let template =
        |template: &Arc<TemplateTarget>| TemplatePlan::new(template, hook_ids(&template.on_change, store));
    plan.templates = config.templates.iter().map(template).collect();
    Prepared { config: Arc::new(config), plan, restored, touched, probes, remarks }
}

/// What the hooks of one `on_change` are known by: whom they tell, and the how manieth of its like each is. How long one may
/// take is no matter: with another timeout it is the same hook, and told nothing twice.
pub(crate) fn hook_ids(hooks: &[Hook], store: &Store) -> Vec<HookId> {
    let mut seen: BTreeMap<HookId, u32> = BTreeMap::new();
    let numbered = |hook: &Hook| {
        let whom = match hook {
            Hook::Signal { pid_file, signal } => format!("{pid_file:?} {signal:?}"),
            Hook::Command { argv, timeout: _ } => format!("{argv:?}"),
            Hook::Webhook { url, timeout: _ } => url.to_string(),
        };
        let print = |count: u32| {
            let parts = [b"hook", crate::hook::kind(hook).as_bytes(), whom.as_bytes(), &count.to_le_bytes()];
            store.fingerprint(&parts).as_u128()
        };
        let count = seen.entry(print(0)).or_default();
        *count += 1;
        print(*count)
    };
    hooks.iter().map(numbered).collect()
}

async fn look_at(accounts: Vec<(AccountId, Arc<Account>)>, store: &Store) -> BTreeMap<AccountId, Probe> {
    let look = |(name, account): (AccountId, Arc<Account>)| async move {
        let probe = credentials::probe(&account, store, None).await;
        (name, probe)
    };
    stream::iter(accounts).map(look).buffer_unordered(AT_ONCE).collect().await
}

fn shorter_than(grace: Duration) -> Duration {
    grace.saturating_sub(MARGIN).max(MARGIN)
}

/// The engine's schedule as the store keeps it.
pub(crate) fn schedule(schedule: crate::core::Schedule) -> Schedule {
    let crate::core::Schedule { attempt, rejected, next_try, last_request, error } = schedule;
    Schedule { attempt, rejected, next_try, last_request, error }
}

/// What the engine is told of what is stored; nothing of what belongs to another identity.
pub(crate) fn recall(
    name: &AccountId,
    account: &Account,
    probe: &Probe,
    store: &Store,
    remarks: &mut Vec<String>,
) -> Restored {
    let seed = seeded(account).then_some(RefreshMeta { expires_at: None });
    let record = match store.restore(name) {
        Ok(record) => record,
        Err(problem) => {
            remarks.push(problem.to_string());
            None
        }
    };
    let Some(record) = record else { return Restored { refresh: seed, ..Restored::default() } };
    let generation = record.generation;
    if probe.identity.as_ref().is_some_and(|identity| *identity != record.identity) {
        return Restored { generation, refresh: seed, ..Restored::default() };
    }
    let reseeded = reseeded(&record, probe);
    let refresh = if reseeded { None } else { refresh_meta(&record) };
    // A changed credential is tried at once: the backoff belonged to the old one.
    let mended =
        reseeded || matches!((&probe.content, &record.credentials), (Some(now), Some(then)) if now != then);
    let Schedule { attempt, rejected, next_try, last_request, error } = if mended {
        Schedule { last_request: record.schedule.last_request, ..Schedule::default() }
    } else {
        record.schedule.clone()
    };
    Restored {
        token: record.current.as_ref().map(|token| token.meta),
        age: record.age(clock::now(), clock::boot_id()),
        generation,
        refresh: refresh.or(seed),
        owner: record.owner.map(|owner| owner.as_u128()),
        attempt,
        rejected,
        next_try,
        last_request,
        error,
        unverified: record.unverified.clone(),
        untried: has_candidate(&record),
    }
}

/// Whether another first refresh token is configured than the one that the stored one descends from.
fn reseeded(record: &Record, probe: &Probe) -> bool {
    let stored = record.refresh.as_ref().and_then(|slot| slot.seed.as_ref());
    matches!((stored, &probe.seed), (Some(stored), Some(now)) if stored != now)
}

/// What came of [`adopt`].
pub(crate) struct Adopted {
    pub(crate) saving: Saving,
    /// What is stored of the account as it is configured now, where another one's was there.
    pub(crate) restored: Option<Restored>,
}

/// Makes the stored record that of the account as it is configured: of another identity nothing is used any more, and what only
/// its vendor can end is put aside. Says what that means for a refresh token.
pub(crate) fn adopt(store: &Store, name: &AccountId, account: &Account, probe: &Probe) -> Option<Adopted> {
    let claim = probe.claim(account)?;
    let record = store.latest(name)?;
    let moves = record.identity != claim.identity;
    let unmarked = record.refresh.is_some() && record.grant.is_none() && claim.grant.is_some();
    if !moves && !unmarked && record.removed_at.is_none() {
        return None;
    }
    let mut settled = Settled::Same;
    let saving = store.update(name, Durability::Cached, |record| {
        match moves {
            true => settled = record.settle(&claim, clock::wall()),
            false => record.grant = claim.grant.or(record.grant),
        }
        record.removed_at = None;
    });
    say(name, account, settled);
    let restored = moves.then(|| recall(name, account, probe, store, &mut Vec::new()));
    Some(Adopted { saving, restored })
}

/// What becomes of a refresh token under other settings.
pub(crate) fn say(name: &AccountId, account: &Account, settled: Settled) {
    let only = if seeded(account) && account.provider.issue.is_none() {
        "; hint: without those settings the account needs a fresh `refresh_token`"
    } else {
        ""
    };
    match settled {
        Settled::Same => {}
        Settled::Carried => tracing::info!(
            event = "refresh_token_kept",
            account = %name,
            "the settings are others, the client is the same: its refresh token goes on with them"
        ),
        Settled::PutAside => tracing::warn!(
            event = "refresh_token_aside",
            account = %name,
            "the stored refresh token belongs to other settings: it is kept for them for 30 days, and counts again once they \
             are back{only}"
        ),
        Settled::TakenBack => tracing::info!(
            event = "refresh_token_back",
            account = %name,
            "the refresh token that was kept for these settings counts again"
        ),
    }
}
