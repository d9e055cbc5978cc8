//! Credentials and refresh tokens: which of them a vendor accepts.

use super::{Ask, Call, Refusal};
use crate::simulator::{
    clock::later, ledger::RefreshStanding, options::Rotation, provider::Provider, world::World,
};

pub(super) fn check_credentials(
    world: &World,
    provider: Provider,
    account: Option<&str>,
    secret: &str,
) -> Result<(), Refusal> {
    let Some(known) = world.options.credentials.get(&provider) else {
        return if secret == "wrong" { Err(Refusal::WrongSecret) } else { Ok(()) };
    };
    let mut of_account =
        known.iter().filter(|known| account.is_none_or(|account| account == known.account)).peekable();
    if of_account.peek().is_none() {
        return Err(Refusal::UnknownAccount);
    }
    if of_account.any(|known| known.secret == secret) { Ok(()) } else { Err(Refusal::WrongSecret) }
}

pub(super) fn check_refresh_token(
    world: &mut World,
    call: &Call,
    ask: &Ask,
    token: &str,
) -> Result<(String, u64), Refusal> {
    let provider = call.provider;
    let (account, family) = match world.ledger.refresh_standing(provider, token, call.now) {
        RefreshStanding::Live { account, family } => (account, family),
        RefreshStanding::Dead { family, .. } => {
            if provider == Provider::OAuthRefreshToken && world.options.rotation == Rotation::SingleUse {
                world.ledger.end_family(provider, family);
            }
            return Err(Refusal::DeadRefreshToken);
        }
        RefreshStanding::Expired { .. } => return Err(Refusal::DeadRefreshToken),
        RefreshStanding::Unknown => plant_seed(world, call, ask, token)?,
    };
    let of_another = |owner: Option<&str>| owner.is_some_and(|owner| owner != account);
    if of_another(ask.account.as_deref()) {
        return Err(Refusal::DeadRefreshToken);
    }
    if let Some(access) = &ask.access_token
        && world.ledger.owner(provider, access) != Some(&account)
    {
        return Err(Refusal::DeadRefreshToken);
    }
    Ok((account, family))
}

/// The first refresh token of an OAuth 2.0 client comes from outside, from a person's consent: whatever a client
/// sends that holds none yet, and later whatever starts with `seed-`.
fn plant_seed(world: &mut World, call: &Call, ask: &Ask, token: &str) -> Result<(String, u64), Refusal> {
    let provider = call.provider;
    let account = ask.account.clone().ok_or(Refusal::DeadRefreshToken)?;
    let welcome = token.starts_with("seed-") || !world.ledger.knows_refresh_of(provider, &account);
    if provider != Provider::OAuthRefreshToken || token == "wrong" || !welcome {
        return Err(Refusal::DeadRefreshToken);
    }
    let family = world.ledger.family();
    let ends = later(call.now, world.options.refresh_lifetime_of(provider));
    world.ledger.enter_refresh(provider, &account, token, family, ends);
    Ok((account, family))
}
