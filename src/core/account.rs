//! One account's state and what a reply does to it.

use std::sync::Arc;
use std::time::Duration;

use super::effect::{Operation, Schedule};
use super::event::{RefreshMeta, Restored};
use super::host::Place;
use super::plan::AccountPlan;
use crate::config::definition::OldToken;
use crate::domain::{BootInstant, Deadline, ErrorInfo, Generation, Now, Timestamp, TokenMeta};

/// Two declared expiries of one token that differ by less are the same: relative lifetimes count from before each
/// request.
const SAME_EXPIRY: Duration = Duration::from_secs(2);
/// So long after a failure a restart is taken for one of many.
const WARY: Duration = Duration::from_secs(60);
/// By how much the two clocks may drift apart over a token's life before the wall clock counts as stepped.
const STEADY: Duration = Duration::from_secs(5);
/// A wait that a stored schedule asks for is believed up to this (the longest pause of the policy).
const LONGEST_STORED_WAIT: Duration = Duration::from_secs(7 * 3600);

/// What became of a reply's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is the current token now.
    Promoted,
    /// It is the very token that we have, with the same end: nothing to write.
    Same,
    /// It ends earlier than the living one that we have, which stays.
    Shorter,
}

/// Decides whether a reply's token becomes the current one.
///
/// `current` is the token that the store holds and whether the reply's is the same text.
#[must_use]
pub fn admit(
    current: Option<(TokenMeta, bool)>,
    expires_at: Timestamp,
    keep_longer: bool,
    now: Timestamp,
) -> Admission {
    match current {
        Some((held, true)) if close(held.expires_at, expires_at) => Admission::Same,
        Some((held, false)) if keep_longer && held.expires_at > now && held.expires_at > expires_at => {
            Admission::Shorter
        }
        _ => Admission::Promoted,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) plan: AccountPlan,
    pub(super) epoch: u64,
    /// The highest ever.
    pub(super) generation: Generation,
    pub(super) token: Option<Held>,
    /// The one before it, which some target may still hold.
    pub(super) before: Option<Held>,
    pub(super) refresh: Option<RefreshMeta>,
    /// The key that the last login was made with, where refresh tokens belong to it.
    pub(super) owner: Option<u128>,
    pub(super) phase: Phase,
    /// Since when it has wanted the request that it queues for.
    pub(super) due: Deadline,
    pub(super) attempt: u32,
    pub(super) rejected: u32,
    /// When the first request of its row of failures left (or of the one that is out, which may begin one).
    pub(super) failing_since: Option<BootInstant>,
    /// `min_interval` forbids asking before.
    pub(super) not_before: Option<Deadline>,
    /// A vendor's wait forbids asking before.
    pub(super) hold: Option<Deadline>,
    pub(super) last_request: Option<Timestamp>,
    pub(super) next_try: Option<Timestamp>,
    pub(super) error: Option<ErrorInfo>,
    /// Finished requests since start, for those who wait for one.
    pub(super) finished: u64,
    pub(super) last_calendar: Option<Timestamp>,
    /// The last generation that a reader has complained of.
    pub(super) invalidated: Generation,
    /// The agent was restarted amid failures: until then it may be in a crash loop.
    wary_until: Option<Deadline>,
    /// What it failed by was mended while a request was out.
    pub(super) again: bool,
    /// Why the token that it has is not known to work, where it was tried in vain.
    pub(super) unverified: Option<ErrorInfo>,
    /// A new token waits in the store: as the agent stops, or since the one before did.
    pub(super) untried: bool,
    /// The server whose absence made it fail.
    pub(super) lacks: Option<Arc<str>>,
}

/// A token with its end on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) meta: TokenMeta,
    pub(super) expiry: Deadline,
    /// Whether we saw its issue: then its age by the boot-time clock is known, whatever the wall clock says.
    pub(super) known: bool,
    /// Its end has been seen and said. A clock that was wrong and is set right again does not revive it.
    pub(super) ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for its deadline.
    Idle,
    /// Waits for its host; the place under which it queues.
    Queued(Place),
    /// A request is out.
    Asking,
}

impl Account {
    pub(super) fn new(plan: AccountPlan, epoch: u64, restored: Restored, now: Now) -> Self {
        let Restored {
            token,
            age,
            generation,
            refresh,
            owner,
            attempt,
            rejected,
            next_try,
            last_request,
            error,
            unverified,
            untried,
        } = restored;
        let believed = |at: Timestamp| at.min(now.wall.plus(LONGEST_STORED_WAIT));
        let throttled =
            error.as_ref().is_some_and(|error| error.class == crate::domain::ErrorClass::Throttled);
        // A last request in the future shows that the clock was set back: then its plans mean nothing.
        let set_back = last_request.is_some_and(|last| last > now.wall.plus(Duration::from_secs(300)));
        let token = token.map(|meta| Held::restored(meta, age, now));
        let alive = token.filter(|held| held.lives(now));
        let alive = alive.map(|held| (held.meta.lifetime(), held.expiry.left(now)));
        // A restart inherits the backoff. It may be one of many: then an answered failure allows no more than one that
        // was cut off, for the first minute also in this life.
        let failed = last_request.filter(|_| attempt > 0 && !set_back);
        let calm = failed.map(|last| last.plus(restart_pause(attempt, alive)));
        let wary_until = failed.filter(|last| last.plus(WARY) > now.wall).map(|_| now.after(WARY));
        let next_try = next_try.map(|at| calm.map_or(at, |calm| at.max(calm)));
        let next_try = next_try.map(believed).filter(|at| *at > now.wall && !set_back);
        let mut account = Self {
            epoch,
            generation,
            token,
            refresh,
            owner,
            phase: Phase::Idle,
            due: now.at_once(),
            attempt,
            rejected,
            failing_since: None,
            not_before: None,
            hold: next_try.filter(|_| throttled).map(|at| now.at_wall(at)),
            last_request: None,
            next_try,
            error,
            finished: 0,
            last_calendar: None,
            invalidated: Generation::NONE,
            wary_until,
            again: false,
            unverified: unverified.filter(|_| token.is_some() && plan.verify),
            untried,
            before: None,
            lacks: None,
            plan,
        };
        if let Some(last) = last_request {
            account.asked_at(last.min(now.wall), now);
        }
        if untried {
            account.not_before = None; // until it has been tried, after which the last request counts again
        }
        account
    }

    /// Notes that the provider was asked at `at`, which is not after `now`.
    pub(super) fn asked_at(&mut self, at: Timestamp, now: Now) {
        self.last_request = Some(at);
        let left = self.min_interval().saturating_sub(now.wall.since(at));
        self.not_before = (!left.is_zero()).then(|| now.after(left));
    }

    /// The least time between two requests. A definition's own cannot be in force where the vendor's tokens live
    /// shorter than that: then a quarter of the life wins. A user's word stands.
    fn min_interval(&self) -> Duration {
        match self.token {
            Some(held)
                if self.plan.documented_interval && held.meta.lifetime() < self.plan.min_interval * 2 =>
            {
                held.meta.lifetime() / 4
            }
            _ => self.plan.min_interval,
        }
    }

    /// The request was never sent.
    pub(super) fn forget_request(&mut self, before: Option<Timestamp>, now: Now) {
        (self.last_request, self.not_before) = (None, None);
        if let Some(before) = before {
            self.asked_at(before.min(now.wall), now);
        }
    }

    /// What is left of the token and its whole life, where it lives.
    pub(super) fn alive(&self, now: Now) -> Option<(Duration, Duration)> {
        let held = self.token.as_ref().filter(|held| held.lives(now))?;
        Some((held.meta.lifetime(), held.expiry.left(now)))
    }

    /// The living token.
    pub(super) fn live_token(&self, now: Now) -> Option<TokenMeta> {
        self.token.as_ref().filter(|held| held.lives(now)).map(|held| held.meta)
    }

    /// Whether its renewal has failed in this life of the agent, or waits for what failures of an earlier one have set.
    pub(super) fn has_failed(&self, now: Now) -> bool {
        let inherits = || self.next_try.is_some_and(|at| at > now.wall);
        self.attempt > 0 && (self.finished > 0 || inherits())
    }

    /// The first instant at which the provider may be asked at all.
    pub(super) fn earliest(&self, now: Now) -> Option<Deadline> {
        let bounds = [self.not_before, self.hold].into_iter().flatten().filter(|bound| !bound.reached(now));
        bounds.reduce(Deadline::later)
    }

    /// Whether the last login was made with another key than the configured one, and refresh tokens belong to that: under
    /// the new one a refresh token of the one before would go on for ever.
    pub(super) fn is_foreign(&self) -> bool {
        matches!((self.owner, self.plan.owner), (Some(one), Some(other)) if one != other)
    }

    /// The call to make: refresh where a living refresh token of ours is there, else log in.
    pub(super) fn operation(&self, now: Now) -> Option<Operation> {
        let lives = |meta: &RefreshMeta| meta.expires_at.is_none_or(|end| end > now.wall);
        match self.refresh.filter(|meta| lives(meta) && !self.is_foreign() || !self.plan.can_issue) {
            Some(_) if self.plan.can_refresh => Some(Operation::Refresh),
            _ if self.plan.can_issue => Some(Operation::Issue),
            _ => None,
        }
    }

    /// The longest exchange. While a token lives, a request that hangs may not eat what is left of it, unless the
    /// request spends something that must not be spent twice.
    pub(super) fn timeout(&self, operation: Operation, now: Now) -> Duration {
        let spends = operation == Operation::Refresh && self.plan.single_use;
        match self.alive(now) {
            Some((life, left)) if !spends => {
                let least = (life / 10).clamp(Duration::from_secs(1), Duration::from_secs(2));
                (left / 3).max(least).min(self.plan.timeout)
            }
            _ => self.plan.timeout,
        }
    }

    /// Whether a living token that ends later is kept in place of a new, shorter one: only where the vendor lets the
    /// old one live, and never where the wall clock has stepped since, as its end then says nothing.
    pub(super) fn keeps_longer(&self, now: Now) -> bool {
        let steady = |held: &Held| {
            let (wall, boot) = (held.expiry.wall.since(now.wall), held.expiry.boot.since(now.boot));
            held.meta.issued_at <= now.wall && wall.abs_diff(boot) <= STEADY
        };
        self.plan.old_token == OldToken::Independent && self.token.as_ref().is_some_and(steady)
    }

    /// How long to wait at least after a failure, lest a crash loop be a way around the backoff.
    pub(super) fn wary_pause(&self, now: Now) -> Duration {
        match self.wary_until {
            Some(until) if !until.reached(now) => restart_pause(self.attempt, self.alive(now)),
            _ => Duration::ZERO,
        }
    }

    pub(super) fn schedule(&self) -> Schedule {
        Schedule {
            attempt: self.attempt,
            rejected: self.rejected,
            next_try: self.next_try,
            last_request: self.last_request,
            error: self.error.clone(),
        }
    }

    /// What a restart is to find if the request that leaves now is cut off by a crash: one more failure, and a
    /// pause that grows quickly, so that a crash loop asks three times a minute at most.
    pub(super) fn intent(&self, now: Now) -> Schedule {
        let attempt = self.attempt + 1;
        let pause = restart_pause(attempt, self.alive(now));
        let next_try = now.wall.plus(pause);
        Schedule { attempt, next_try: Some(next_try), last_request: Some(now.wall), ..self.schedule() }
    }
}

/// How long after its last request, at least, a failing account waits when the agent was restarted meanwhile.
fn restart_pause(attempt: u32, alive: Option<(Duration, Duration)>) -> Duration {
    let pause = Duration::from_secs(match attempt {
        0 | 1 => 2,
        2 => 15,
        _ => 60,
    });
    match alive {
        Some((_, left)) => pause.min((left / 3).max(Duration::from_secs(1))),
        None => pause,
    }
}

impl Held {
    /// A token of a request that left at `left`: its life counts from then, even where the wall clock was set while
    /// the request was out.
    pub(super) fn issued(meta: TokenMeta, left: Now, now: Now) -> Self {
        let expiry = now
            .at_wall(meta.expires_at)
            .earlier(Deadline { wall: meta.expires_at, boot: left.boot.plus(meta.lifetime()) });
        Self { meta, expiry, known: true, ended: false }
    }

    /// A token of an earlier life of the agent. However far the wall clock was set back, it has no more before it than its
    /// life without its age, or its whole life where nobody knows that.
    pub(super) fn restored(meta: TokenMeta, age: Option<Duration>, now: Now) -> Self {
        let whole = Self::issued(meta, now, now);
        let left = meta.lifetime().saturating_sub(age.unwrap_or_default());
        let expiry = whole.expiry.earlier(Deadline { wall: meta.expires_at, boot: now.boot.plus(left) });
        Self { expiry, known: false, ..whole }
    }

    pub(super) fn lives(&self, now: Now) -> bool {
        !self.ended && !self.expiry.reached(now)
    }

    /// The instant that lies `span` before the end, on both clocks.
    pub(super) fn before_end(&self, span: Duration) -> Deadline {
        let boot = self.expiry.boot.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        Deadline { wall: self.expiry.wall.minus(span), boot: BootInstant(boot) }
    }
}

fn close(one: Timestamp, other: Timestamp) -> bool {
    one.since(other) < SAME_EXPIRY && other.since(one) < SAME_EXPIRY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(end: i64) -> TokenMeta {
        TokenMeta {
            generation: Generation(3),
            issued_at: Timestamp::from_secs(1_000),
            expires_at: Timestamp::from_secs(end),
        }
    }

    #[test]
    fn a_stored_token_ends_by_its_age_where_that_is_known_and_by_the_wall_clock_at_the_latest() {
        // 2,000 s of life, of which the wall clock says that 600 are over.
        let now = Now { wall: Timestamp::from_secs(1_600), boot: BootInstant(50_000) };
        for (age, left) in
            [(None, 1_400), (Some(0), 1_400), (Some(600), 1_400), (Some(1_900), 100), (Some(9_000), 0)]
        {
            let held = Held::restored(held(3_000), age.map(Duration::from_secs), now);
            assert_eq!(held.expiry.left(now), Duration::from_secs(left), "{age:?}");
            assert_eq!(held.lives(now), left > 0, "{age:?}");
        }
    }

    #[test]
    fn replies_are_admitted_by_the_policy() {
        let (now, at) = (Timestamp::from_secs(2_000), Timestamp::from_secs);
        let cases = [
            (None, at(2_100), true, Admission::Promoted),
            (Some((held(3_000), true)), at(3_000), true, Admission::Same),
            (Some((held(3_000), true)), at(3_001), true, Admission::Same),
            (Some((held(3_000), true)), at(3_002), true, Admission::Promoted),
            (Some((held(3_000), true)), at(2_998), true, Admission::Promoted),
            (Some((held(3_000), true)), at(3_600), true, Admission::Promoted),
            (Some((held(3_000), true)), at(2_500), true, Admission::Promoted),
            (Some((held(3_000), false)), at(3_000), true, Admission::Promoted),
            (Some((held(3_000), false)), at(2_500), true, Admission::Shorter),
            (Some((held(3_000), false)), at(2_500), false, Admission::Promoted),
            (Some((held(1_900), false)), at(2_500), true, Admission::Promoted),
            (Some((held(2_000), false)), at(1_990), true, Admission::Promoted),
        ];
        for (current, expires_at, keep_longer, admission) in cases {
            assert_eq!(admit(current, expires_at, keep_longer, now), admission, "{current:?} {expires_at}");
        }
    }
}
