//! The vendors that the simulator stands in for, and where their token operations live.

use std::{fmt, str::FromStr};

/// A vendor's token API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Bizppurio message API: Basic authentication, expiry as a Seoul wall-clock time.
    Bizppurio,
    /// Bizppurio RCS API: an access and a refresh token, absolute epoch seconds.
    BizppurioRcs,
    /// Bizppurio "napi": no expiry in the reply, errors inside HTTP 200.
    BizppurioNapi,
    /// RCS Biz Center: absolute epoch milliseconds as text, never a refresh.
    RcsBizCenter,
    /// PortOne V2: JWTs, single-use refresh tokens, idempotency keys.
    PortOne,
    /// PortOne V1 (iamport): the same token until it ends.
    PortOneV1,
    /// OAuth 2.0 client credentials grant (RFC 6749 section 4.4).
    OAuthClientCredentials,
    /// OAuth 2.0 refresh token grant (RFC 6749 section 6).
    OAuthRefreshToken,
    /// Kiwoom Securities: errors as `return_code` inside HTTP 200.
    Kiwoom,
    /// Korea Investment & Securities: the same token for a quarter of its life.
    Kis,
}

/// What a token request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// A token for credentials.
    Issue,
    /// A token for a refresh token.
    Refresh,
}

impl Provider {
    /// Every vendor, in the order in which they are listed to people.
    pub const ALL: [Self; 10] = [
        Self::Bizppurio,
        Self::BizppurioRcs,
        Self::BizppurioNapi,
        Self::RcsBizCenter,
        Self::PortOne,
        Self::PortOneV1,
        Self::OAuthClientCredentials,
        Self::OAuthRefreshToken,
        Self::Kiwoom,
        Self::Kis,
    ];

    /// The provider's name in a configuration, and its path prefix on the simulator.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bizppurio => "bizppurio",
            Self::BizppurioRcs => "bizppurio-rcs",
            Self::BizppurioNapi => "bizppurio-napi",
            Self::RcsBizCenter => "rcs-biz-center",
            Self::PortOne => "portone",
            Self::PortOneV1 => "portone-v1",
            Self::OAuthClientCredentials => "oauth2-client-credentials",
            Self::OAuthRefreshToken => "oauth2-refresh-token",
            Self::Kiwoom => "kiwoom",
            Self::Kis => "kis",
        }
    }

    /// The token operations as (path below the prefix, what it does). All are POST.
    pub const fn operations(self) -> &'static [(&'static str, Operation)] {
        use Operation::{Issue, Refresh};
        match self {
            Self::Bizppurio => &[("v1/token", Issue)],
            Self::BizppurioRcs => &[("rcsapi/v1/token", Issue), ("rcsapi/v1/refresh_token", Refresh)],
            // The vendor's names: `/token/refresh` hands out a refresh token, `/token/access` spends it.
            Self::BizppurioNapi => &[("token/refresh", Issue), ("token/access", Refresh)],
            Self::RcsBizCenter | Self::OAuthClientCredentials => &[("token", Issue)],
            Self::PortOne => &[("login/api-secret", Issue), ("token/refresh", Refresh)],
            Self::PortOneV1 => &[("users/getToken", Issue)],
            Self::OAuthRefreshToken => &[("token", Refresh)],
            Self::Kiwoom => &[("oauth2/token", Issue)],
            Self::Kis => &[("oauth2/tokenP", Issue)],
        }
    }

    /// The operation at a path below the provider's prefix.
    pub(super) fn operation(self, path: &str) -> Option<Operation> {
        self.operations().iter().find(|(at, _)| *at == path).map(|(_, operation)| *operation)
    }
}

impl Operation {
    /// `issue` or `refresh`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Refresh => "refresh",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No provider of that name is simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no simulated provider is called `{0}`; there are {names}", names = Provider::ALL.map(Provider::name).join(", "))]
pub struct UnknownProvider(pub String);

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.name() == name)
            .ok_or_else(|| UnknownProvider(name.to_owned()))
    }
}
