//! The vendors' books: which tokens were issued, to whom, and until when they hold.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::digest;

use super::{clock::later, options::OldToken, provider::Provider};

/// Past this many access tokens the long expired ones are forgotten.
const PRUNE_ABOVE: usize = 20_000;
/// How long an expired token is remembered, so that a reader hears "expired" rather than "unknown".
const REMEMBER: Duration = Duration::from_secs(3_600);

/// Every token of every vendor. Instants are those of the machine, not of a vendor whose clock is off.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    seed: u64,
    counter: u64,
    access: HashMap<(Provider, String), Access>,
    refresh: HashMap<(Provider, String), Refresh>,
    newest: HashMap<(Provider, String), Minted>,
    /// By account: its access tokens that a renewal may have to end. Books of days are long, these are not.
    unended: HashMap<(Provider, String), Vec<String>>,
    /// The refresh tokens that are live.
    live: HashSet<(Provider, String)>,
    /// Accounts that have ever held one.
    holders: HashSet<(Provider, String)>,
}

#[derive(Clone, Debug)]
struct Access {
    account: String,
    expires_at: Timestamp,
    revoked_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Refresh {
    account: String,
    family: u64,
    expires_at: Timestamp,
    live: bool,
}

/// A token that an account was given.
#[derive(Clone, Debug)]
pub(super) struct Minted {
    pub(super) token: String,
    /// When, by the machine's clock.
    pub(super) issued_at: Timestamp,
    /// Until when, by the machine's clock.
    pub(super) expires_at: Timestamp,
}

/// What the books say of an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Valid { account: String, expires_at: Timestamp },
    Expired,
    Revoked,
    Unknown,
}

/// What the books say of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RefreshStanding {
    Live {
        account: String,
        family: u64,
    },
    /// Spent, replaced or revoked.
    Dead {
        account: String,
        family: u64,
    },
    Expired {
        account: String,
    },
    Unknown,
}

impl Ledger {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            counter: 0,
            access: HashMap::new(),
            refresh: HashMap::new(),
            newest: HashMap::new(),
            unended: HashMap::new(),
            live: HashSet::new(),
            holders: HashSet::new(),
        }
    }

    /// 43 characters that no other call of this simulator returns; the same seed gives the same row of them.
    pub(super) fn nonce(&mut self) -> String {
        self.counter += 1;
        let mut input = self.seed.to_be_bytes().to_vec();
        input.extend(self.counter.to_be_bytes());
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &input))
    }

    /// A new family of refresh tokens: those that descend from one login (RFC 9700 section 4.14.2).
    pub(super) fn family(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The account's newest token where it still holds.
    pub(super) fn newest(&self, provider: Provider, account: &str, now: Timestamp) -> Option<Minted> {
        let minted = self.newest.get(&(provider, account.to_owned()))?;
        let holds = matches!(self.standing(provider, &minted.token, now), Standing::Valid { .. });
        holds.then(|| minted.clone())
    }

    /// The account's newest token, whether it still holds or not.
    pub(super) fn latest(&self, provider: Provider, account: &str) -> Option<Minted> {
        self.newest.get(&(provider, account.to_owned())).cloned()
    }

    /// Enters a new access token and applies what the vendor does to the account's earlier ones.
    pub(super) fn enter(&mut self, provider: Provider, account: &str, minted: &Minted, old: OldToken) {
        self.prune(minted.issued_at);
        let unended = self.unended.entry((provider, account.to_owned())).or_default();
        if let OldToken::KillsOld { overlap } = old {
            let end = later(minted.issued_at, overlap);
            for token in std::mem::take(unended) {
                if let Some(access) = self.access.get_mut(&(provider, token))
                    && access.revoked_at.is_none()
                {
                    access.revoked_at = Some(end);
                }
            }
        }
        unended.retain(|token| {
            let access = self.access.get(&(provider, token.clone()));
            access.is_some_and(|access| access.expires_at > minted.issued_at)
        });
        unended.push(minted.token.clone());
        let access = Access { account: account.to_owned(), expires_at: minted.expires_at, revoked_at: None };
        self.access.insert((provider, minted.token.clone()), access);
        self.newest.insert((provider, account.to_owned()), minted.clone());
    }

    /// The same grant under another text, for a fault that had to rewrite the token.
    pub(super) fn alias(&mut self, provider: Provider, token: &str, other: &str) {
        if let Some(access) = self.access.get(&(provider, token.to_owned())).cloned() {
            let account = (provider, access.account.clone());
            self.unended.entry(account).or_default().push(other.to_owned());
            self.access.insert((provider, other.to_owned()), access);
        }
    }

    pub(super) fn standing(&self, provider: Provider, token: &str, now: Timestamp) -> Standing {
        match self.access.get(&(provider, token.to_owned())) {
            None => Standing::Unknown,
            Some(access) if access.revoked_at.is_some_and(|at| at <= now) => Standing::Revoked,
            Some(access) if access.expires_at <= now => Standing::Expired,
            Some(access) => {
                Standing::Valid { account: access.account.clone(), expires_at: access.expires_at }
            }
        }
    }

    /// Whom an access token was issued to, valid or not.
    pub(super) fn owner(&self, provider: Provider, token: &str) -> Option<&str> {
        self.access.get(&(provider, token.to_owned())).map(|access| access.account.as_str())
    }

    /// Takes an access token from its holder at once.
    pub(super) fn revoke(&mut self, provider: Provider, token: &str, now: Timestamp) -> bool {
        match self.access.get_mut(&(provider, token.to_owned())) {
            Some(access) => {
                access.revoked_at = Some(now);
                true
            }
            None => false,
        }
    }

    /// Enters a refresh token.
    pub(super) fn enter_refresh(
        &mut self,
        provider: Provider,
        account: &str,
        token: &str,
        family: u64,
        expires_at: Timestamp,
    ) {
        let refresh = Refresh { account: account.to_owned(), family, expires_at, live: true };
        self.refresh.insert((provider, token.to_owned()), refresh);
        self.live.insert((provider, token.to_owned()));
        self.holders.insert((provider, account.to_owned()));
    }

    pub(super) fn refresh_standing(
        &self,
        provider: Provider,
        token: &str,
        now: Timestamp,
    ) -> RefreshStanding {
        match self.refresh.get(&(provider, token.to_owned())) {
            None => RefreshStanding::Unknown,
            Some(refresh) => {
                let account = refresh.account.clone();
                let family = refresh.family;
                match (refresh.live, refresh.expires_at <= now) {
                    (false, _) => RefreshStanding::Dead { account, family },
                    (true, true) => RefreshStanding::Expired { account },
                    (true, false) => RefreshStanding::Live { account, family },
                }
            }
        }
    }

    /// Whether the account ever held a refresh token.
    pub(super) fn knows_refresh_of(&self, provider: Provider, account: &str) -> bool {
        self.holders.contains(&(provider, account.to_owned()))
    }

    /// Ends every refresh token of an account.
    pub(super) fn end_refresh_of(&mut self, provider: Provider, account: &str) {
        self.end_refresh_where(provider, |refresh| refresh.account == account);
    }

    /// Ends every refresh token of a family.
    pub(super) fn end_family(&mut self, provider: Provider, family: u64) {
        self.end_refresh_where(provider, |refresh| refresh.family == family);
    }

    fn end_refresh_where(&mut self, provider: Provider, ends: impl Fn(&Refresh) -> bool) {
        let books = &mut self.refresh;
        self.live.retain(|held| {
            let Some(refresh) = books.get_mut(held).filter(|refresh| held.0 == provider && ends(refresh))
            else {
                return true;
            };
            refresh.live = false;
            false
        });
    }

    fn prune(&mut self, now: Timestamp) {
        if self.access.len() > PRUNE_ABOVE && self.access.len().is_multiple_of(1_000) {
            self.access.retain(|_, access| later(access.expires_at, REMEMBER) > now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// What a thousand renewals cost with so many in the books already.
    #[expect(clippy::disallowed_methods, reason = "a test that measures")]
    fn cost(before: u64) -> Duration {
        let mut ledger = Ledger::new(7);
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut renew = |number: u64| {
            let account = (number % 100).to_string();
            let minted = Minted { token: ledger.nonce(), issued_at: now, expires_at: later(now, REMEMBER) };
            ledger.enter(
                Provider::PortOne,
                &account,
                &minted,
                OldToken::KillsOld { overlap: Duration::ZERO },
            );
            let refresh = ledger.nonce();
            ledger.end_refresh_of(Provider::PortOne, &account);
            ledger.enter_refresh(Provider::PortOne, &account, &refresh, number, minted.expires_at);
            assert!(ledger.knows_refresh_of(Provider::PortOne, &account));
        };
        (0..before).for_each(&mut renew);
        let start = Instant::now();
        (0..1_000).for_each(&mut renew);
        start.elapsed()
    }

    #[test]
    fn a_renewal_costs_as_much_after_ten_thousand_as_at_first() {
        let cheapest = |before| (0..2).map(|_| cost(before)).min().unwrap();
        let (first, last) = (cheapest(100), cheapest(10_000));
        assert!(last < first * 8, "{last:?}, at first {first:?}");
    }
}
