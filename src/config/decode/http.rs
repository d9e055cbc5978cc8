//! `http:` of an account.

use std::path::PathBuf;
use std::time::Duration;

use super::scalar::Refusal;
use super::{Fields, Report, paths, urls};
use crate::config::model::Http;
use crate::config::shape::HTTP;

const TIMEOUT: Duration = Duration::from_secs(30);
const BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(600));

/// How to reach the provider.
pub(super) fn http(report: &mut Report, account: &Fields<'_, '_>) -> Http {
    let plain =
        Http { timeout: TIMEOUT, proxy: None, ca_file: None, client_identity: None, source_address: None };
    let Some(fields) = account.section(report, "http", &HTTP) else { return plain };
    Http {
        timeout: fields
            .duration_within(report, "timeout", BOUNDS, "from 100 ms to 10 min")
            .unwrap_or(TIMEOUT),
        proxy: fields.parsed(report, "proxy", proxy),
        ca_file: fields.parsed(report, "ca_file", paths::absolute),
        client_identity: client_identity(report, &fields),
        source_address: fields
            .parsed(report, "source_address", |text| text.parse().map_err(|_| Refusal::EXPECTED)),
    }
}

fn proxy(text: &str) -> Result<url::Url, Refusal> {
    let url = urls::web(text)?;
    match url.path() == "/" && url.query().is_none() && url.fragment().is_none() {
        true => Ok(url),
        false => Err(Refusal::because("a proxy is a scheme, a host and a port, as in `http://proxy:3128`")),
    }
}

fn client_identity(report: &mut Report, fields: &Fields<'_, '_>) -> Option<(PathBuf, PathBuf)> {
    const KEYS: [&str; 2] = ["client_cert_file", "client_key_file"];
    let [certificate, key] = KEYS.map(|key| fields.parsed(report, key, paths::absolute));
    for (given, missing) in [(KEYS[0], KEYS[1]), (KEYS[1], KEYS[0])] {
        if fields.has(given) && !fields.has(missing) {
            report.error(fields.place_of(given), format!("`{given}` needs `{missing}` beside it"));
        }
    }
    certificate.zip(key)
}
