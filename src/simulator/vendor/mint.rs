//! New tokens: when they end, and when a vendor hands out the present one instead.

use std::time::Duration;

use jiff::Timestamp;

use super::{Call, Grantee};
use crate::simulator::{
    clock::{later, shifted, whole_second},
    fault::{Fault, TokenFault},
    ledger::Minted,
    world::World,
};

/// A token for an account, the reply's form aside. `ends` is the vendor's own rounding of the expiry.
///
/// `reuse` hands out the account's newest token again while more than that share of it is left to live.
pub(super) fn mint(
    world: &mut World,
    call: &Call,
    account: &str,
    reuse: Reuse,
    ends: fn(Timestamp, Duration) -> Timestamp,
    render: impl FnOnce(&mut World, Timestamp, Timestamp) -> String,
) -> Minted {
    let life = world.options.lifetime_of(call.provider);
    if call.fault == Some(Fault::Token(TokenFault::Same))
        && let Some(old) = world.ledger.latest(call.provider, account)
    {
        return old;
    }
    if let Some(old) = world.ledger.newest(call.provider, account, call.now) {
        let window = match reuse {
            Reuse::Never => Duration::ZERO,
            Reuse::UntilItEnds => Duration::MAX,
            Reuse::AQuarterOfItsLife => life / 4,
        };
        if call.now < later(old.issued_at, window) {
            return old;
        }
    }
    let declared = ends(call.vendor_now(), life);
    let token = render(world, call.vendor_now(), declared);
    let minted = Minted { token, issued_at: call.now, expires_at: shifted(declared, -call.skew) };
    let old = world.options.old_tokens.get(&call.provider).copied().unwrap_or_default();
    world.ledger.enter(call.provider, account, &minted, old);
    minted
}

/// When an account gets its present token once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    Never,
    UntilItEnds,
    AQuarterOfItsLife,
}

/// For vendors that declare whole seconds: the fraction of the issue is lost.
pub(super) fn on_the_second(now: Timestamp, life: Duration) -> Timestamp {
    whole_second(later(now, life))
}

/// For vendors that declare a number of seconds from now.
pub(super) fn after_whole_seconds(now: Timestamp, life: Duration) -> Timestamp {
    later(now, Duration::from_secs(life.as_secs()))
}

/// A new refresh token of the account, and until when it holds on the vendor's clock.
pub(super) fn mint_refresh(
    world: &mut World,
    call: &Call,
    grantee: &Grantee,
    render: impl FnOnce(&mut World, Timestamp, Timestamp) -> String,
) -> String {
    let family = grantee.family.unwrap_or_else(|| world.ledger.family());
    let declared = on_the_second(call.vendor_now(), world.options.refresh_lifetime_of(call.provider));
    let token = render(world, call.vendor_now(), declared);
    let ends = shifted(declared, -call.skew);
    world.ledger.enter_refresh(call.provider, &grantee.account, &token, family, ends);
    token
}
