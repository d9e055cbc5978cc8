//! How a simulator behaves: lifetimes, credentials, the vendors' own limits, faults.

use std::{collections::BTreeMap, time::Duration};

use super::{clock, provider::Provider, rule::FaultRule};

/// What a simulator is told at its start.
///
/// Credentials: a vendor without an entry in `credentials` accepts anything that is not empty, except a secret
/// that is exactly `wrong`, which it rejects in its own words.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long access tokens live; at least a second, as most vendors count in whole ones. 60 s by default.
    ///
    /// `bizppurio-napi` declares no expiry, so no client could know of a shorter life: its tokens keep the
    /// documented 4 h (refresh tokens: a week) unless `lifetimes` names it.
    pub lifetime: Duration,
    /// Lifetimes of single vendors.
    pub lifetimes: BTreeMap<Provider, Duration>,
    /// How long refresh tokens live. One hour by default.
    pub refresh_lifetime: Duration,
    /// Faults, the first that hits wins. [`super::Simulator::set_fault`] goes before them.
    pub faults: Vec<FaultRule>,
    /// What tokens are made of. The same seed and the same row of requests give the same tokens; by default the
    /// time of the start, so that a restarted simulator does not accept a former one's tokens.
    pub seed: u64,
    /// The only credentials that these vendors accept.
    pub credentials: BTreeMap<Provider, Vec<Credential>>,
    /// What a renewal does to the account's earlier access tokens, where it is not [`OldToken::Independent`].
    pub old_tokens: BTreeMap<Provider, OldToken>,
    /// What `oauth2-refresh-token` does with a refresh token that was used.
    pub rotation: Rotation,
    /// The vendors' own limits; those on requests are off by default, as short lives need more than they allow.
    pub limits: VendorLimits,
}

/// One account that a vendor knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The account, bizId, clientId, imp_key, appkey or client_id; not looked at for `portone`, which has none.
    pub account: String,
    /// The password, key or secret that goes with it.
    pub secret: String,
}

/// What a renewal does to the tokens that the account already holds. None of the vendors states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OldToken {
    /// They live on until they expire.
    #[default]
    Independent,
    /// They end, after an overlap.
    KillsOld {
        /// For how long both tokens hold; zero for none.
        overlap: Duration,
    },
}

/// What becomes of an OAuth 2.0 refresh token that was used (RFC 6749 section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// It is spent, and the reply holds the next. Using a spent one ends its whole family (RFC 9700 section
    /// 4.14.2); access tokens live on.
    #[default]
    SingleUse,
    /// It stays, and the reply holds none.
    Reusable,
}

/// The vendors' own limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VendorLimits {
    /// `bizppurio-napi`: token requests a minute and client address; the vendor's is 10.
    pub napi_per_minute: Option<u32>,
    /// `kis`: the least time between two requests of an appkey; the vendor's is a minute.
    pub kis_interval: Option<Duration>,
    /// `bizppurio`: after so long without a request it closes a connection; the vendor's 4 s by default.
    pub bizppurio_idle: Option<Duration>,
}

impl Default for VendorLimits {
    fn default() -> Self {
        Self { napi_per_minute: None, kis_interval: None, bizppurio_idle: Some(Duration::from_secs(4)) }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_secs(60),
            lifetimes: BTreeMap::new(),
            refresh_lifetime: Duration::from_secs(3_600),
            faults: Vec::new(),
            seed: u64::try_from(clock::now().as_nanosecond()).unwrap_or_default(),
            credentials: BTreeMap::new(),
            old_tokens: BTreeMap::new(),
            rotation: Rotation::default(),
            limits: VendorLimits::default(),
        }
    }
}

impl Options {
    /// The defaults with another lifetime of access tokens.
    pub fn with_lifetime(lifetime: Duration) -> Self {
        Self { lifetime, ..Self::default() }
    }

    /// How long a vendor's access tokens live.
    pub fn lifetime_of(&self, provider: Provider) -> Duration {
        match (self.lifetimes.get(&provider), provider) {
            (Some(lifetime), _) => *lifetime,
            (None, Provider::BizppurioNapi) => Duration::from_secs(4 * 3_600),
            (None, _) => self.lifetime,
        }
    }

    /// How long a vendor's refresh tokens live.
    pub fn refresh_lifetime_of(&self, provider: Provider) -> Duration {
        match provider {
            Provider::BizppurioNapi if !self.lifetimes.contains_key(&provider) => {
                Duration::from_secs(7 * 86_400)
            }
            _ => self.refresh_lifetime,
        }
    }
}
