//! What readers of a target have: the tokens that its last delivery put there, with their ends. A write that fails leaves
//! them there, so that a fresh account may stand beside readers who are refused.

use std::time::Duration;

use super::account::{Account, Held};
use super::engine::Engine;
use super::plan::TargetId;
use super::schedule::lead;
use super::target::{Holds, Target};
use crate::domain::{AccountId, Generation, Now, TokenMeta};

/// What a target was last known to hold; of several tokens the one to care about, which is the first to end of those that
/// have a successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldView {
    /// The token.
    pub token: TokenMeta,
    /// What is left of it by both clocks; zero where it has ended.
    pub left: Duration,
    /// How long before its end it was to be renewed.
    pub lead: Duration,
    /// Its account has a newer one.
    pub outdated: bool,
}

impl Account {
    /// The token of that generation, where it is the current one or the one before.
    fn known(&self, generation: Generation) -> Option<Held> {
        let known = self.token.into_iter().chain(self.before);
        known.into_iter().find(|held| held.meta.generation == generation)
    }
}

impl Engine {
    /// A delivery has ended well: what stands there now.
    pub(super) fn note_held(&mut self, id: &TargetId) {
        let Some(target) = self.targets.get(id) else { return };
        let known = |(member, held): (&AccountId, &Generation)| self.accounts.get(member)?.known(*held);
        let tokens = match (&target.holds, target.held()) {
            (Holds::Generations(_), Some(held)) => target.members.iter().zip(held).map(known).collect(),
            _ => None,
        };
        if let Some(target) = self.targets.get_mut(id) {
            target.tokens = tokens.unwrap_or_default();
        }
    }

    /// What the target was last known to hold.
    pub(super) fn held_view(&self, target: &Target, now: Now) -> Option<HeldView> {
        let view = |(member, held): (&AccountId, &Held)| {
            let account = self.accounts.get(member)?;
            let newest = account.token.map_or(Generation::NONE, |token| token.meta.generation);
            Some(HeldView {
                token: held.meta,
                left: held.expiry.left(now),
                lead: lead(self.seed, member, &account.plan, &held.meta).0,
                outdated: held.meta.generation < newest,
            })
        };
        let views = target.members.iter().zip(&target.tokens).filter_map(view);
        views.min_by_key(|held| (!held.outdated, held.left))
    }
}
