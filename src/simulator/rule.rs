//! Whom a fault hits and when, and how a flag says it.

use std::{str::FromStr, time::Duration};

use super::{
    clock::parse_duration,
    fault::{Fault, FaultError},
    provider::{Operation, Provider},
};

/// Whose requests a fault hits: `*`, `PROVIDER`, `PROVIDER/ACCOUNT`, each with `:issue` or `:refresh` behind the provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `None` is every provider.
    pub provider: Option<Provider>,
    /// `None` is both.
    pub operation: Option<Operation>,
    /// The identity that the request names (account, bizId, clientId, imp_key, appkey, client_id; for PortOne see
    /// [`super::identity_of_secret`]); `None` is every one.
    pub account: Option<String>,
}

impl Target {
    /// Every request of every provider.
    pub const EVERYTHING: Self = Self { provider: None, operation: None, account: None };

    pub(super) fn hits(&self, provider: Provider, operation: Operation, account: &str) -> bool {
        self.provider.is_none_or(|wanted| wanted == provider)
            && self.operation.is_none_or(|wanted| wanted == operation)
            && self.account.as_deref().is_none_or(|wanted| wanted == account)
    }
}

impl From<Provider> for Target {
    fn from(provider: Provider) -> Self {
        Self { provider: Some(provider), ..Self::EVERYTHING }
    }
}

impl FromStr for Target {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (left, account) = match text.split_once('/') {
            Some((left, account)) => (left, Some(account.to_owned())),
            None => (text, None),
        };
        let (provider, operation) = match left.split_once(':') {
            Some((provider, "issue")) => (provider, Some(Operation::Issue)),
            Some((provider, "refresh")) => (provider, Some(Operation::Refresh)),
            Some((_, other)) => return Err(FaultError::Operation(other.to_owned())),
            None => (left, None),
        };
        let provider = if provider == "*" { None } else { Some(provider.parse()?) };
        Ok(Self { provider, operation, account })
    }
}

/// A fault, whom it hits and when. As a flag: `TARGET=FAULT`, then `@FROM..TO` (time since the simulator's start,
/// either end may be missing) or `#COUNT` (the first requests that it hits), such as `portone=503`, `*=429:5s`,
/// `bizppurio=503@10s..25s`, `bizppurio/acme=hang#3`, `portone:refresh=reset#1`.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRule {
    /// Whose requests.
    pub target: Target,
    /// What happens to them.
    pub fault: Fault,
    /// From this time since the start.
    pub from: Duration,
    /// Until this time since the start.
    pub to: Option<Duration>,
    /// How many requests it still hits; `None` is without an end.
    pub remaining: Option<u64>,
}

impl FaultRule {
    /// A rule that holds always.
    pub fn always(target: impl Into<Target>, fault: Fault) -> Self {
        Self { target: target.into(), fault, from: Duration::ZERO, to: None, remaining: None }
    }

    pub(super) fn is_on(&self, since_start: Duration) -> bool {
        self.from <= since_start && self.to.is_none_or(|to| since_start < to) && self.remaining != Some(0)
    }
}

impl FromStr for FaultRule {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (target, rest) = text.split_once('=').ok_or_else(|| FaultError::Shape(text.to_owned()))?;
        let (rest, remaining) = match rest.split_once('#') {
            Some((rest, count)) => {
                (rest, Some(count.parse().map_err(|_| FaultError::Window(format!("#{count}")))?))
            }
            None => (rest, None),
        };
        let (fault, from, to) = match rest.split_once('@') {
            Some((fault, window)) => {
                let wrong = || FaultError::Window(format!("@{window}"));
                let end = |text: &str| match text {
                    "" => Ok(None),
                    text => parse_duration(text).map(Some).ok_or_else(wrong),
                };
                let (from, to) = window.split_once("..").ok_or_else(wrong)?;
                (fault, end(from)?.unwrap_or_default(), end(to)?)
            }
            None => (rest, Duration::ZERO, None),
        };
        Ok(Self { target: target.parse()?, fault: fault.parse()?, from, to, remaining })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_target_window_and_count() {
        let rule: FaultRule = "portone:refresh/acme=503:5s@10s..25s#2".parse().unwrap();
        assert_eq!(rule.target.provider, Some(Provider::PortOne));
        assert_eq!(rule.target.operation, Some(Operation::Refresh));
        assert_eq!(rule.target.account.as_deref(), Some("acme"));
        assert_eq!(
            (rule.from.as_secs(), rule.to, rule.remaining),
            (10, Some(Duration::from_secs(25)), Some(2))
        );
        assert!(!rule.is_on(Duration::from_secs(9)) && rule.is_on(Duration::from_secs(10)));
        assert!(!rule.is_on(Duration::from_secs(25)));
        let all: FaultRule = "*=hang".parse().unwrap();
        assert!(all.target.hits(Provider::Kis, Operation::Issue, "anyone"));
    }

    #[test]
    fn a_wrong_flag_says_what_is_allowed() {
        let message = |text: &str| text.parse::<FaultRule>().unwrap_err().to_string();
        assert!(message("portone").contains("TARGET=FAULT"));
        assert!(message("portone=explode").contains("token-newline"));
        assert!(message("nobody=503").contains("rcs-biz-center"));
        assert!(message("portone:login=503").contains("issue, refresh"));
        assert!(message("portone=503@soon").contains("@FROM..TO"));
        assert!(message("portone=200").contains("is no fault"));
    }
}
