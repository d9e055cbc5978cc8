//! When a token is renewed: the lead, its spread, and what the user's `renew.before` makes of it.

use std::time::Duration;

use super::plan::{AccountPlan, unit};
use crate::config::model::Lead;
use crate::domain::{AccountId, TokenMeta};

/// "Shortly before" is an hour at most unless the user says more.
const LONGEST_LEAD: Duration = Duration::from_secs(3600);
/// No token is renewed sooner than this after its issue, however short its life.
const SHORTEST_HOLD: Duration = Duration::from_millis(500);

/// The policy's lead for a life of `life`, before it is spread: `min(max(L/3, 60 s), L/2, 1 h)`.
#[must_use]
pub fn default_lead(life: Duration) -> Duration {
    (life / 3).max(Duration::from_secs(60)).min(life / 2).min(LONGEST_LEAD)
}

/// The lead of this very token, and whether the user's wish had to be cut to half the life.
///
/// A user's `renew.before` is taken as it is. The default is spread by U(0.8, 1.2) from installation, account and
/// generation; near the hour the spread's upper end is cut so that an hour is never exceeded and the spread stays
/// even.
#[must_use]
pub fn lead(seed: u64, account: &AccountId, plan: &AccountPlan, token: &TokenMeta) -> (Duration, bool) {
    let life = token.lifetime();
    let wish = match plan.lead {
        Some(Lead::Time(span)) => span,
        Some(Lead::Share(share)) => life.mul_f64(f64::from(share) / 100_000.0),
        None => {
            let lead = spread(seed, account, token, default_lead(life));
            return (reuse_lead(seed, account, plan, token).map_or(lead, |least| lead.min(least)), false);
        }
    };
    if wish < life { (wish.min(life.saturating_sub(SHORTEST_HOLD)), false) } else { (life / 2, true) }
}

/// How long after its issue the token is to be renewed, and whether the user's wish had to be cut.
#[must_use]
pub(super) fn renew_after(
    seed: u64,
    account: &AccountId,
    plan: &AccountPlan,
    token: &TokenMeta,
) -> (Duration, bool) {
    let (lead, cut) = lead(seed, account, plan, token);
    (token.lifetime().saturating_sub(lead).max(SHORTEST_HOLD), cut)
}

/// Where the vendor hands the same token out until shortly before its end: the middle of that last window.
#[must_use]
pub(super) fn reuse_lead(
    seed: u64,
    account: &AccountId,
    plan: &AccountPlan,
    token: &TokenMeta,
) -> Option<Duration> {
    let draw = unit(seed, account.as_str(), "reuse", token.generation.0);
    plan.reuse_window.map(|window| window.mul_f64(0.5 + 0.4 * draw))
}

fn spread(seed: u64, account: &AccountId, token: &TokenMeta, base: Duration) -> Duration {
    if base.is_zero() {
        return base;
    }
    let highest = (LONGEST_LEAD.as_secs_f64() / base.as_secs_f64()).min(1.2);
    base.mul_f64(0.8 + (highest - 0.8) * unit(seed, account.as_str(), "lead", token.generation.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::plan::tests::plan;
    use crate::domain::{Generation, Timestamp};

    fn token(life_secs: i64, generation: u64) -> TokenMeta {
        TokenMeta {
            generation: Generation(generation),
            issued_at: Timestamp::from_secs(1_000_000),
            expires_at: Timestamp::from_secs(1_000_000 + life_secs),
        }
    }

    #[test]
    fn the_default_lead_follows_the_policy() {
        for (life, lead) in
            [(5, 2.5), (10, 5.0), (60, 30.0), (150, 60.0), (600, 200.0), (3600, 1200.0), (86_400, 3600.0)]
        {
            assert_eq!(default_lead(Duration::from_secs(life)).as_secs_f64(), lead, "{life}");
        }
    }

    #[test]
    fn the_spread_covers_its_range_and_never_exceeds_an_hour() {
        let account = AccountId::new("a").unwrap();
        for life in [10_i64, 600, 3600, 9_000, 10_800, 86_400] {
            let base = default_lead(Duration::from_secs(life.unsigned_abs()));
            let leads: Vec<Duration> =
                (1..500).map(|count| lead(7, &account, &plan(), &token(life, count)).0).collect();
            let (low, high) = (leads.iter().min().unwrap(), leads.iter().max().unwrap());
            assert!(*low >= base.mul_f64(0.799) && *low < base.mul_f64(0.83), "{life} {low:?}");
            assert!(*high <= base.mul_f64(1.201).min(LONGEST_LEAD), "{life} {high:?}");
            assert!(*high > base.mul_f64(1.17).min(LONGEST_LEAD.mul_f64(0.98)), "{life} {high:?}");
        }
    }

    #[test]
    fn the_users_lead_is_exact() {
        let account = AccountId::new("a").unwrap();
        let ten = AccountPlan { lead: Some(Lead::Time(Duration::from_secs(600))), ..plan() };
        let fifth = AccountPlan { lead: Some(Lead::Share(20_000)), ..plan() };
        assert_eq!(lead(7, &account, &ten, &token(3600, 1)), (Duration::from_secs(600), false));
        assert_eq!(lead(7, &account, &fifth, &token(3600, 1)), (Duration::from_secs(720), false));
    }

    #[test]
    fn a_reused_token_is_asked_for_within_its_last_window() {
        let account = AccountId::new("a").unwrap();
        let plan = AccountPlan { reuse_window: Some(Duration::from_secs(60)), ..plan() };
        for generation in 1..200 {
            let (lead, _) = lead(7, &account, &plan, &token(1800, generation));
            assert!((30.0..=54.0).contains(&lead.as_secs_f64()), "{lead:?}");
        }
        assert!(
            lead(7, &account, &plan, &token(10, 1)).0 <= Duration::from_secs(6),
            "a short life keeps its lead"
        );
    }

    #[test]
    fn a_lead_just_under_the_life_leaves_half_a_second_and_one_of_the_whole_life_is_cut() {
        let account = AccountId::new("a").unwrap();
        let cases = [(59_400, 59_400, false), (59_800, 59_500, false), (60_000, 30_000, true)];
        for (wish, least, cut) in cases {
            let wish = AccountPlan { lead: Some(Lead::Time(Duration::from_millis(wish))), ..plan() };
            let (life, least) = (Duration::from_secs(60), Duration::from_millis(least));
            assert_eq!(lead(7, &account, &wish, &token(60, 1)), (least, cut));
            assert_eq!(renew_after(7, &account, &wish, &token(60, 1)), (life - least, cut));
        }
    }

    #[test]
    fn a_lead_longer_than_the_life_is_cut_to_half() {
        let account = AccountId::new("a").unwrap();
        let long = AccountPlan { lead: Some(Lead::Time(Duration::from_secs(600))), ..plan() };
        assert_eq!(lead(7, &account, &long, &token(60, 1)), (Duration::from_secs(30), true));
    }
}
