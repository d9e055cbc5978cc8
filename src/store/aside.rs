//! What is kept of other settings. A refresh token may be the only way in, and its vendor alone can end it: where it no
//! longer belongs to what is configured it is put aside, not thrown away, and counts again once those settings are back.

use std::time::Duration;

use super::{Fingerprint, Record, RefreshSlot};
use crate::domain::{ErrorInfo, Timestamp, Token};

/// So many refresh tokens of other settings are kept, the newest: who edits in a loop fills no disk.
const REFRESH_KEPT: usize = 8;
/// So many seeds are known to be spent.
const SPENT_KEPT: usize = 16;

/// Whose tokens the configuration wants, as fingerprints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Of what an access token belongs to.
    pub identity: Fingerprint,
    /// Of what a refresh token belongs to, where that is less: who cannot log in goes on with the one there is, whatever
    /// else it asks for.
    pub grant: Option<Fingerprint>,
    /// The configured first refresh token ([`super::Store::seed_mark`]), where there is one and it is known.
    pub seed: Option<Fingerprint>,
    /// The name of the provider's definition.
    pub provider: String,
}

/// What a record keeps of other settings than those that it goes by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aside {
    /// Refresh tokens.
    pub refresh: Vec<AsideRefresh>,
    /// The access token of the settings before. It counts again as long as nothing was asked for since.
    pub token: Option<AsideToken>,
}

/// A refresh token of other settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsideRefresh {
    /// See [`Claim::identity`].
    pub identity: Fingerprint,
    /// See [`Claim::grant`].
    pub grant: Option<Fingerprint>,
    /// The key that it belongs to, where there is such.
    pub owner: Option<Fingerprint>,
    /// The token.
    pub slot: RefreshSlot,
    /// Since when it has been kept here.
    pub at: Timestamp,
}

/// An access token of other settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsideToken {
    /// See [`Claim::identity`].
    pub identity: Fingerprint,
    /// The token.
    pub token: Token,
    /// Why it is not known to work, where it was tried in vain.
    pub unverified: Option<ErrorInfo>,
    /// Since when it has been kept here.
    pub at: Timestamp,
}

/// What became of a record's refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It stays what it was, or there is none.
    Same,
    /// Other settings, the same grant: it goes on with them.
    Carried,
    /// It is kept for the settings before, and the new ones have none.
    PutAside,
    /// The one that was put aside before counts again.
    TakenBack,
}

impl Record {
    /// Makes it the record of what `claim` says, unless it is already. Nothing that only a vendor can end is lost.
    pub fn settle(&mut self, claim: &Claim, now: Timestamp) -> Settled {
        let moves = self.identity != claim.identity;
        self.note_the_seed(claim);
        let granted = !moves || (self.grant.is_some() && self.grant == claim.grant);
        let stays = granted && self.refresh.as_ref().is_none_or(|slot| claim.descends(slot));
        let mut settled = match (moves, self.refresh.is_some(), stays) {
            (_, false, _) | (false, true, true) => Settled::Same,
            (true, true, true) => Settled::Carried,
            (_, true, false) => Settled::PutAside,
        };
        if let Some(slot) = self.refresh.take_if(|_| !stays) {
            let (identity, grant, owner) = (self.identity, self.grant, self.owner.take());
            self.aside.keep(AsideRefresh { identity, grant, owner, slot, at: now });
        }
        if moves {
            self.begin_anew(claim, now);
        } else {
            self.grant = claim.grant.or(self.grant);
        }
        if self.refresh.is_none()
            && let Some(AsideRefresh { owner, slot, .. }) = self.aside.take_back(claim, moves)
        {
            (self.refresh, self.owner) = (Some(slot), owner.or(self.owner));
            settled = Settled::TakenBack;
        }
        settled
    }

    /// Takes a refresh token that came for `claim`, also where the record has become another's since its request left.
    pub fn take_refresh(&mut self, claim: &Claim, slot: RefreshSlot) {
        if self.identity == claim.identity || (self.grant.is_some() && self.grant == claim.grant) {
            self.refresh = Some(slot);
            self.bereft = None;
            return;
        }
        let same = |kept: &AsideRefresh| claim.owns(kept) && kept.slot.seed == slot.seed;
        let owner = self.aside.refresh.iter().find(|kept| same(kept)).and_then(|kept| kept.owner);
        self.aside.refresh.retain(|kept| !same(kept));
        let (identity, grant, at) = (claim.identity, claim.grant, slot.issued_at);
        self.aside.keep(AsideRefresh { identity, grant, owner, slot, at });
    }

    /// Whether that first refresh token was spent before: what came of it is kept for other settings, or is lost. `mark`
    /// gives a token's own mark as a seed: a vendor may hand out the same one for ever.
    #[must_use]
    pub fn has_spent(&self, seed: Fingerprint, mark: impl Fn(&RefreshSlot) -> Fingerprint) -> bool {
        let spent = |kept: &AsideRefresh| kept.slot.seed == Some(seed) && mark(&kept.slot) != seed;
        self.spent.contains(&seed) || self.aside.refresh.iter().any(spent)
    }

    /// Whether [`Record::forget_aside`] would find any.
    pub(super) fn has_old_aside(&self, now: Timestamp, age: Duration) -> bool {
        let old = |at: Timestamp| at.plus(age) <= now;
        let tokens = self.aside.token.iter().map(|kept| kept.at);
        tokens.chain(self.aside.refresh.iter().map(|kept| kept.at)).any(old)
    }

    /// Forgets what was put aside at least `age` before `now`, but not which seeds are spent.
    pub(super) fn forget_aside(
        &mut self,
        now: Timestamp,
        age: Duration,
        mark: impl Fn(&RefreshSlot) -> Fingerprint,
    ) {
        let old = |at: Timestamp| at.plus(age) <= now;
        self.aside.token.take_if(|kept| old(kept.at));
        let all = std::mem::take(&mut self.aside.refresh).into_iter();
        let (gone, kept): (Vec<_>, Vec<_>) = all.partition(|kept| old(kept.at));
        self.aside.refresh = kept;
        let seeds = gone.iter().filter_map(|kept| kept.slot.seed.filter(|seed| mark(&kept.slot) != *seed));
        seeds.for_each(|seed| self.note_spent(seed));
    }

    /// Where the refresh token was lost with the state directory's key, the seed that stands there now is the one that it
    /// came of; unless it was that very token.
    fn note_the_seed(&mut self, claim: &Claim) {
        if let (Some(lost), Some(seed)) = (self.bereft, claim.seed) {
            self.bereft = None;
            if lost != seed {
                self.note_spent(seed);
            }
        }
    }

    fn note_spent(&mut self, seed: Fingerprint) {
        if !self.spent.contains(&seed) {
            self.spent.push(seed);
            let surplus = self.spent.len().saturating_sub(SPENT_KEPT);
            self.spent.drain(..surplus);
        }
    }

    /// All but the count of its tokens, and what is kept.
    fn begin_anew(&mut self, claim: &Claim, now: Timestamp) {
        let blank = Self::new(self.account.clone(), claim.provider.clone(), claim.identity);
        let before = std::mem::replace(self, blank);
        // A request that brought a token, or may have, may have ended the one before.
        let idle = before.candidate.is_none() && before.intent.is_none();
        let (generation, mut aside) = (before.generation, before.aside);
        let back = aside.token.take_if(|kept| kept.identity == claim.identity);
        let back = back.filter(|kept| idle && kept.token.meta.generation == generation);
        if let Some(token) = before.current.filter(|_| idle) {
            let (identity, unverified) = (before.identity, before.unverified);
            aside.token = Some(AsideToken { identity, token, unverified, at: now });
        }
        aside.token = aside.token.filter(|kept| idle && kept.token.meta.generation == generation);
        *self = Self {
            grant: claim.grant,
            owner: before.owner.filter(|_| before.refresh.is_some()),
            refresh: before.refresh,
            unverified: back.as_ref().and_then(|kept| kept.unverified.clone()),
            current: back.map(|kept| kept.token),
            generation,
            notified: before.notified,
            spent: before.spent,
            bereft: before.bereft,
            aside,
            removed_at: before.removed_at,
            old_since: before.old_since,
            birth: before.birth,
            ..std::mem::replace(self, Self::new(before.account, String::new(), claim.identity))
        };
    }
}

impl Claim {
    /// Whether the token may be used where this seed is configured. One whose seed nobody knows may.
    fn descends(&self, slot: &RefreshSlot) -> bool {
        !matches!((slot.seed, self.seed), (Some(one), Some(other)) if one != other)
    }

    fn owns(&self, kept: &AsideRefresh) -> bool {
        kept.identity == self.identity || (kept.grant.is_some() && kept.grant == self.grant)
    }
}

impl Aside {
    fn keep(&mut self, refresh: AsideRefresh) {
        self.refresh.push(refresh);
        let surplus = self.refresh.len().saturating_sub(REFRESH_KEPT);
        self.refresh.drain(..surplus);
    }

    /// The newest one that the claim may use. Where the settings are the same as before, only what descends from the seed that
    /// is configured: it was put aside because there was another one.
    fn take_back(&mut self, claim: &Claim, moves: bool) -> Option<AsideRefresh> {
        let seeded = |kept: &AsideRefresh| claim.seed.is_some() && kept.slot.seed == claim.seed;
        let fits =
            |kept: &AsideRefresh| claim.owns(kept) && claim.descends(&kept.slot) && (moves || seeded(kept));
        let at = self.refresh.iter().rposition(fits)?;
        Some(self.refresh.remove(at))
    }
}
