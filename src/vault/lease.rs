//! How long a login lasts and when to see to it. Pure: the time is an argument.

use std::time::Duration;

use crate::domain::{BootInstant, Secret};

/// What a login or a renewal gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    /// Zero: without an end.
    pub(super) ttl: Duration,
    /// Whether it can be made longer.
    pub(super) renewable: bool,
}

/// A token and the time that is left of it.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    /// What requests carry.
    pub(super) token: Secret,
    grant: Grant,
    granted_at: BootInstant,
    /// What the login gave: a renewal that gives much less has come near the maximum.
    full: Duration,
    /// After a failure: not before.
    not_before: Option<BootInstant>,
}

/// What is to be done before the lease is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// Renew it.
    Renew,
    /// It cannot be renewed (any more).
    Login,
}

impl Lease {
    /// Fresh from a login whose request was sent at `at`.
    pub(super) fn new(token: Secret, grant: Grant, at: BootInstant) -> Self {
        Self { token, full: grant.ttl, grant, granted_at: at, not_before: None }
    }

    /// After a renewal whose request was sent at `at`. One that gives less than two thirds of what the login gave is near
    /// its maximum: the next is a login.
    pub(super) fn renewed(self, grant: Grant, at: BootInstant) -> Self {
        let shrunk = grant.ttl * 3 < self.full * 2;
        // Servers say whole seconds: zero is less than one here, not "without an end".
        let ttl = if shrunk { grant.ttl.max(Duration::from_millis(1)) } else { grant.ttl };
        let grant = Grant { ttl, renewable: grant.renewable && !shrunk };
        Self { grant, granted_at: at, not_before: None, ..self }
    }

    /// What is due at `now`.
    pub(super) fn due(&self, now: BootInstant) -> Due {
        match self.due_at() {
            Some(at) if now >= at => {
                if self.grant.renewable {
                    Due::Renew
                } else {
                    Due::Login
                }
            }
            _ => Due::Nothing,
        }
    }

    /// When something is due next: at two thirds of the real time to live; `None` where it has no end.
    pub(super) fn due_at(&self) -> Option<BootInstant> {
        let at = after(self.granted_at, self.end()? * 2 / 3);
        Some(self.not_before.map_or(at, |not_before| at.max(not_before)))
    }

    /// Whether the server still takes it.
    pub(super) fn alive(&self, now: BootInstant) -> bool {
        self.end().is_none_or(|ttl| now < after(self.granted_at, ttl))
    }

    /// Seeing to it failed: not again before a sixth of what is left, 1 s to 60 s.
    pub(super) fn postponed(self, now: BootInstant) -> Self {
        let left = self.end().map_or(0, |ttl| after(self.granted_at, ttl).0.saturating_sub(now.0));
        let pause = Duration::from_millis(left / 6).clamp(Duration::from_secs(1), Duration::from_secs(60));
        Self { not_before: Some(after(now, pause)), ..self }
    }

    fn end(&self) -> Option<Duration> {
        (!self.grant.ttl.is_zero()).then_some(self.grant.ttl)
    }
}

fn after(instant: BootInstant, span: Duration) -> BootInstant {
    BootInstant(instant.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(secs: u64, renewable: bool) -> Grant {
        Grant { ttl: Duration::from_secs(secs), renewable }
    }

    fn at(secs: u64) -> BootInstant {
        BootInstant(secs * 1000)
    }

    #[test]
    fn a_lease_is_renewed_at_two_thirds_and_over_at_its_end() {
        let lease = Lease::new("t".into(), grant(90, true), at(10));
        assert_eq!(lease.due_at(), Some(at(70)));
        assert_eq!((lease.due(at(69)), lease.due(at(70))), (Due::Nothing, Due::Renew));
        assert!(lease.alive(at(99)) && !lease.alive(at(100)));
    }

    #[test]
    fn a_lease_without_an_end_is_left_alone() {
        let lease = Lease::new("t".into(), grant(0, false), at(10));
        assert_eq!((lease.due_at(), lease.due(at(1_000_000))), (None, Due::Nothing));
        assert!(lease.alive(at(1_000_000)));
    }

    #[test]
    fn a_batch_token_is_replaced_by_a_login() {
        assert_eq!(Lease::new("t".into(), grant(90, false), at(0)).due(at(60)), Due::Login);
    }

    #[test]
    fn a_renewal_near_the_maximum_is_the_last_one() {
        let lease = Lease::new("t".into(), grant(90, true), at(0));
        let whole = lease.clone().renewed(grant(60, true), at(60));
        assert_eq!(whole.due(at(100)), Due::Renew);
        let shrunk = lease.renewed(grant(59, true), at(60));
        assert_eq!(shrunk.due(at(60)), Due::Nothing);
        assert_eq!(shrunk.due(at(100)), Due::Login);
        assert_eq!(
            shrunk.renewed(grant(0, true), at(80)).due(at(81)),
            Due::Login,
            "zero is no infinity here"
        );
    }

    #[test]
    fn a_failed_renewal_is_not_tried_with_every_request() {
        let lease = Lease::new("t".into(), grant(90, true), at(0)).postponed(at(60));
        assert_eq!((lease.due(at(64)), lease.due(at(65))), (Due::Nothing, Due::Renew));
    }
}
