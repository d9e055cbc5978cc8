//! What the engine needs to know of a configuration: no secret, no path, nothing that it would not decide by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::definition::OldToken;
use crate::config::model::{self, Calendar, Lead, Limit, OnRemove, Sink, TemplateTarget, WhenExpired};
use crate::domain::AccountId;

/// What stands in Vault or the Kubernetes API is compared with what we wrote this often.
const COMPARE_EVERY: Duration = Duration::from_secs(600);

/// A configuration as the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// By name.
    pub accounts: BTreeMap<AccountId, AccountPlan>,
    /// What is made from several accounts, in the order of the configuration; ids are distinct from every sink's.
    pub templates: Vec<TemplatePlan>,
}

/// One account as the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountPlan {
    /// Its provider's name.
    pub provider: Arc<str>,
    /// A keyed fingerprint of what a stored token belongs to; `None` while a source is missing, which says nothing
    /// about the identity: the token stays.
    pub identity: Option<u128>,
    /// A keyed fingerprint of the key that refresh tokens belong to (docs/decisions/0011); `None` where there is none such,
    /// or while a source is missing.
    pub owner: Option<u128>,
    /// `host:port` of the token API.
    pub host: Arc<str>,
    /// The limit of that host.
    pub limit: Limit,
    /// The user's lead, where there is one.
    pub lead: Option<Lead>,
    /// Rotate at these times too.
    pub calendar: Option<Calendar>,
    /// Never ask more often; zero means no bound.
    pub min_interval: Duration,
    /// `min_interval` is the definition's own, not the user's: a life that is too short for it proves it wrong.
    pub documented_interval: bool,
    /// Asking earlier than this before the end only brings the same token.
    pub reuse_window: Option<Duration>,
    /// Longest exchange.
    pub timeout: Duration,
    /// What a renewal does to the token before.
    pub old_token: OldToken,
    /// The definition can log in with credentials.
    pub can_issue: bool,
    /// The definition can refresh.
    pub can_refresh: bool,
    /// A refresh token dies by its use.
    pub single_use: bool,
    /// Where its token goes.
    pub targets: Vec<TargetPlan>,
    /// Who is told of a new token; none twice.
    pub hooks: Vec<HookId>,
    /// A new token is tried before it is used.
    pub verify: bool,
}

/// One item of `templates:` as the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplatePlan {
    /// What is written.
    pub target: TargetPlan,
    /// The accounts that it is made from; never empty, none twice.
    pub members: Vec<AccountId>,
    /// Who is told once it has other content; none twice.
    pub hooks: Vec<HookId>,
}

/// A target's name: `file:PATH`, `template:PATH`, `vault:MOUNT/PATH`, `kubernetes:NAMESPACE/NAME`.
pub type TargetId = Arc<str>;

/// A hook by what it is, wherever it stands among those of its set: a keyed fingerprint of whom it tells.
pub type HookId = u128;

/// What hooks wait for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetId {
    /// All sinks of the account.
    Account(AccountId),
    /// The template.
    Template(TargetId),
}

/// One target as the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetPlan {
    /// Its name.
    pub id: TargetId,
    /// Changes when anything about it changes; then it is written again.
    pub look: u64,
    /// It is withdrawn when the token has expired.
    pub remove_expired: bool,
    /// It is deleted when it leaves the configuration.
    pub delete_on_remove: bool,
    /// The server that it stands on (`vault`, `kubernetes`): its targets wait together when that is away.
    pub server: Option<Arc<str>>,
    /// How often it is compared with what we wrote, where nothing tells of a change.
    pub compare_every: Option<Duration>,
}

impl AccountPlan {
    /// The engine's view of `account`, with the fingerprints of its identity, of its refresh tokens' owner and of its
    /// hooks.
    #[must_use]
    pub fn new(
        account: &model::Account,
        identity: Option<u128>,
        owner: Option<u128>,
        hooks: Vec<HookId>,
    ) -> Self {
        Self {
            provider: account.provider.name.as_str().into(),
            identity,
            owner,
            host: account.host.as_str().into(),
            limit: account.limit,
            lead: account.renew.before,
            calendar: account.renew.cron.clone(),
            min_interval: account.renew.min_interval,
            documented_interval: account.provider.min_interval == Some(account.renew.min_interval),
            reuse_window: account.provider.reuse_window,
            timeout: account.http.timeout,
            old_token: account.provider.old_token,
            can_issue: account.provider.issue.is_some(),
            can_refresh: account.provider.refresh.is_some(),
            single_use: account.provider.refresh_single_use,
            targets: account.sinks.iter().map(TargetPlan::new).collect(),
            hooks,
            verify: account.verify.is_some(),
        }
    }
}

impl TargetPlan {
    /// The engine's view of `sink`.
    #[must_use]
    pub fn new(sink: &Sink) -> Self {
        let (remove_expired, on_remove, server) = match sink {
            Sink::File(file) => (file.when_expired == WhenExpired::Remove, file.on_remove, None),
            Sink::Vault(vault) => (false, vault.on_remove, Some("vault")),
            Sink::Kubernetes(secret) => (false, secret.on_remove, Some("kubernetes")),
        };
        Self {
            id: sink.id().into(),
            look: hash(0, format!("{sink:?}").as_bytes()),
            remove_expired,
            delete_on_remove: on_remove == OnRemove::Delete,
            server: server.map(Arc::from),
            compare_every: server.map(|_| COMPARE_EVERY),
        }
    }
}

impl TemplatePlan {
    /// The engine's view of `template`, with the fingerprints of its hooks.
    #[must_use]
    pub fn new(template: &TemplateTarget, hooks: Vec<HookId>) -> Self {
        let TemplateTarget { path, form, accounts, mode, owner, group, on_remove, on_change: _ } = template;
        let look = format!("{path:?} {form:?} {mode:?} {owner:?} {group:?}");
        Self {
            target: TargetPlan {
                id: format!("template:{}", path.display()).into(),
                look: hash(0, look.as_bytes()),
                remove_expired: false,
                delete_on_remove: *on_remove == OnRemove::Delete,
                server: None,
                compare_every: None,
            },
            members: accounts.clone(),
            hooks,
        }
    }
}

/// A well-mixed hash of `text` under `seed` (FNV-1a, finished by splitmix64): the engine's only randomness.
/// Not for anything that an attacker must not guess.
#[must_use]
pub(crate) fn hash(seed: u64, text: &[u8]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325 ^ mix(seed);
    for byte in text {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(state)
}

/// A number in `[0, 1)` that depends on the installation, the account and a count.
#[must_use]
pub(crate) fn unit(seed: u64, who: &str, purpose: &str, count: u64) -> f64 {
    let word = mix(hash(seed, who.as_bytes()) ^ hash(count, purpose.as_bytes()));
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let share = (word >> 11) as f64 / (1_u64 << 53) as f64;
    share
}

fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A plan with nothing special about it.
    pub(crate) fn plan() -> AccountPlan {
        AccountPlan {
            provider: "test".into(),
            identity: Some(1),
            owner: None,
            host: "127.0.0.1:1".into(),
            limit: Limit::default(),
            lead: None,
            calendar: None,
            min_interval: Duration::ZERO,
            documented_interval: false,
            reuse_window: None,
            timeout: Duration::from_secs(30),
            old_token: OldToken::KillsOld,
            can_issue: true,
            can_refresh: false,
            single_use: false,
            targets: Vec::new(),
            hooks: Vec::new(),
            verify: false,
        }
    }

    #[test]
    fn the_draws_are_even_and_differ_by_each_argument() {
        let draws: Vec<f64> = (0..10_000).map(|count| unit(3, "a", "lead", count)).collect();
        for tenth in 0..10_u8 {
            let low = f64::from(tenth) / 10.0;
            let share = draws.iter().filter(|draw| (low..low + 0.1).contains(*draw)).count();
            assert!((900..1_100).contains(&share), "{low}: {share}");
        }
        let one = unit(3, "a", "lead", 1);
        assert!(
            [
                unit(4, "a", "lead", 1),
                unit(3, "b", "lead", 1),
                unit(3, "a", "retry", 1),
                unit(3, "a", "lead", 2)
            ]
            .iter()
            .all(|other| *other != one)
        );
    }
}
