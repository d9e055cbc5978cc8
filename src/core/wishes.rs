//! What people, readers, calendars and secrets' sources want of an account between its own deadlines.

use super::account::Phase;
use super::effect::{Effect, Note};
use super::engine::{CLOCK_TOLERANCE, Engine, Key};
use super::event::CredentialChange;
use super::plan::TargetId;
use crate::domain::{AccountId, ErrorClass, ErrorInfo, Generation, Now, Timestamp};

impl Engine {
    pub(super) fn asked(&mut self, name: &AccountId, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        account.rejected = 0;
        self.enqueue(name, now);
        if !self.stopping {
            // Whoever asks may have mended what kept the last token from where it belongs, and wants to be told.
            self.hurry_targets(name, |_| true);
            self.drive_targets(name, now);
        }
    }

    /// A reader's 401 is a reason to ask once a generation. Where asking fails, or brings the same token again, further
    /// complaints change nothing: the next try is set.
    pub(super) fn invalidated(&mut self, name: &AccountId, generation: Generation, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        let current = account.token.is_some_and(|held| held.meta.generation == generation);
        if current && account.invalidated < generation {
            account.invalidated = generation;
            if account.attempt == 0 {
                self.enqueue(name, now);
            }
        }
    }

    pub(super) fn calendar_fired(&mut self, name: &AccountId, scheduled: Timestamp, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        // What seems to have been in the future was before the clock was set back, and means nothing.
        let known = |at: &Timestamp| *at <= now.wall.plus(CLOCK_TOLERANCE);
        let issued_at = account.token.map(|held| held.meta.issued_at).filter(known);
        let last = account.last_calendar.filter(known);
        if issued_at.is_some_and(|at| at >= scheduled) || last.is_some_and(|at| at >= scheduled) {
            return;
        }
        account.last_calendar = Some(scheduled);
        // Neither a backoff nor the pause after a crash is cut short by a calendar.
        let pausing = account.attempt > 0 && account.next_try.is_some_and(|at| now.wall < at);
        if account.earliest(now).is_none() && account.error.is_none() && !pausing {
            self.enqueue(name, now);
        }
    }

    pub(super) fn credential_changed(&mut self, name: &AccountId, change: CredentialChange, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        match change {
            CredentialChange::Missing(message) => self.miss(name, message, now),
            CredentialChange::Secret => self.forgive(name, now),
            CredentialChange::Seed => {
                account.refresh = Some(super::RefreshMeta { expires_at: None });
                self.effects.push(Effect::DropRefresh { account: name.clone() });
                self.forgive(name, now);
            }
            CredentialChange::Owner(owner) => match account.plan.owner.replace(owner) == Some(owner) {
                true => self.forgive(name, now), // it was away, or was tried before anyone saw it
                false => self.rekeyed(name, now),
            },
            CredentialChange::Identity(identity, restored) => {
                if account.plan.identity.is_none() {
                    // It was missing, not another one: whether the stored token is ours was decided by the store.
                    account.plan.identity = Some(identity);
                    self.forgive(name, now);
                } else if account.plan.identity != Some(identity) {
                    account.plan.identity = Some(identity);
                    self.renounce_for(name, *restored, now);
                }
            }
        }
    }

    /// There is another key than before that refresh tokens belong to: where it has brought none yet, a login is due.
    pub(super) fn rekeyed(&mut self, name: &AccountId, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        match account.phase {
            _ if !account.is_foreign() => self.forgive(name, now),
            Phase::Asking => account.again = true, // with the key before
            _ => {
                account.rejected = 0;
                self.enqueue(name, now);
            }
        }
    }

    /// A source is missing. Nothing is asked sooner or later for it: the token that is there lives on.
    pub(super) fn miss(&mut self, name: &AccountId, message: String, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        if account.error.is_some() || account.phase == Phase::Asking {
            return; // the request in flight, or the next one, will say it
        }
        account.error = Some(ErrorInfo { class: ErrorClass::Config, message: message.clone(), at: now.wall });
        let attempt = account.attempt;
        let next = self.timers.at(&Key::Ask(name.clone())).map_or(now.wall, |deadline| deadline.wall);
        let class = ErrorClass::Config;
        self.say(Note::Failing { account: name.clone(), class, message, next, attempt, news: true });
    }

    pub(super) fn reprieve(&mut self, now: Now) {
        let failing: Vec<AccountId> = self
            .accounts
            .iter()
            .filter(|(_, account)| account.error.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for account in failing {
            self.forgive(&account, now);
        }
        if self.stopping {
            return;
        }
        // What a person has mended need not wait for its turn: failed targets and hooks, and what someone has done on a server.
        let ids: Vec<TargetId> = self.targets.keys().cloned().collect();
        for id in ids {
            self.timers.clear(&Key::Target(id.clone()));
            self.compare(&id, now);
            self.drive(&id, now);
        }
        self.hurry_hooks(now);
    }

    /// What made the account fail may be mended: try at once.
    pub(super) fn forgive(&mut self, name: &AccountId, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        match account.phase {
            Phase::Asking => account.again = true, // it may fail with the old credentials yet
            _ if account.error.is_none() => {}
            _ if account.attempt == 0 && account.live_token(now).is_some() => account.error = None, // only missed
            _ => {
                account.rejected = 0;
                self.enqueue(name, now);
            }
        }
    }
}
