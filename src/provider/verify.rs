//! `verify:`: one GET with a new token tells whether it works. Its reply's body is not read.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};

use super::client::{Clients, private};
use super::errors::{Failure, LONGEST_WAIT};
use super::{causes, json};
use crate::config::definition::Unit;
use crate::config::model::{Account, Verify};
use crate::domain::{ErrorClass, Token};
use crate::patience;

/// Why a new token is not known to work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unverified {
    /// An answer that says so: the token is worth nothing.
    Refused(Failure),
    /// No answer, or one that says nothing of the token (429, 5xx): to be tried again with the same token.
    Unanswered(Failure),
}

impl Unverified {
    /// No answer came while there was an old token to hold on to.
    #[must_use]
    pub fn silent() -> Self {
        let words = "the new token could not be verified before the end of the old one";
        Self::Unanswered(Failure { class: ErrorClass::Transient, ..Failure::config(words) })
    }
}

impl Clients {
    /// Tries a token where `verify` says, over the account's own way to its provider.
    ///
    /// # Errors
    /// [`Unverified`]; its failure never counts against the token API's host.
    pub async fn verify(&self, account: &Account, verify: &Verify, token: &Token) -> Result<(), Unverified> {
        let ours = |failure: Failure| Unverified::Unanswered(Failure { host_fault: false, ..failure });
        private(&verify.url).map_err(ours)?;
        let client = self.client(&account.http, account.provider.idle_timeout).await.map_err(ours)?;
        let authorization = authorization(token).ok_or_else(|| {
            let words = "the new token's type cannot stand in a header, so it cannot be verified";
            Unverified::Refused(Failure { class: ErrorClass::Malformed, ..Failure::config(words) })
        })?;
        let place = causes::place(&verify.url, &account.http);
        let request = client.get(verify.url.clone()).header(AUTHORIZATION, authorization).send();
        let reply = match patience::within(verify.timeout, request).await {
            Some(reply) => {
                reply.map_err(|error| causes::failure(&error, &place, account.http.source_address))
            }
            None => Err(causes::late(&place, verify.timeout)),
        };
        let reply = reply.map_err(|failure| {
            let message = format!("the new token could not be verified: {}", failure.message);
            ours(Failure { class: ErrorClass::Transient, message, ambiguous: false, ..failure })
        })?;
        let status = reply.status().as_u16();
        if verify.expect.contains(&status) {
            return Ok(());
        }
        let wait = reply.headers().get("retry-after").and_then(|value| value.to_str().ok());
        Err(judge(status, wait.and_then(seconds)))
    }
}

fn judge(status: u16, wait: Option<Duration>) -> Unverified {
    let failure =
        |class, message: String| Failure { class, wait, status: Some(status), ..Failure::config(message) };
    match status {
        408 | 425 | 429 | 500.. => Unverified::Unanswered(failure(
            ErrorClass::Transient,
            format!("the new token could not be verified: `verify.url` answers HTTP {status}"),
        )),
        _ => Unverified::Refused(failure(
            ErrorClass::Malformed,
            format!(
                "the new token does not work: `verify.url` answers HTTP {status}; hint: check `verify.url` and \
                 `verify.expect` if the token is good"
            ),
        )),
    }
}

/// Only whole seconds: this is not the token API, whose clock is known.
fn seconds(text: &str) -> Option<Duration> {
    let millis = json::number_text_millis(text.trim_ascii(), Unit::Seconds).filter(|millis| *millis > 0)?;
    Some(Duration::from_millis(u64::try_from(millis).ok()?).min(LONGEST_WAIT))
}

fn authorization(token: &Token) -> Option<HeaderValue> {
    let mut value =
        HeaderValue::try_from(format!("{} {}", token.scheme()?, token.access_token.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_about_the_token_is_told_from_one_about_the_server() {
        for status in [400, 401, 403, 404, 302, 204] {
            let Unverified::Refused(failure) = judge(status, None) else {
                panic!("{status} says the token is bad")
            };
            assert_eq!(
                (failure.class, failure.status, failure.host_fault),
                (ErrorClass::Malformed, Some(status), false)
            );
        }
        for status in [408, 429, 500, 503] {
            let wait = Some(Duration::from_secs(7));
            let Unverified::Unanswered(failure) = judge(status, wait) else {
                panic!("{status} says nothing")
            };
            assert_eq!((failure.class, failure.wait), (ErrorClass::Transient, wait));
        }
    }

    #[test]
    fn a_wait_is_believed_up_to_an_hour() {
        assert_eq!(seconds("5"), Some(Duration::from_secs(5)));
        assert_eq!(seconds("1000000"), Some(LONGEST_WAIT));
        assert_eq!(seconds("soon"), None);
    }
}
