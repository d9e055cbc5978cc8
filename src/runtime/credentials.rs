//! An account's secrets: resolved when used, and looked at when their sources change. What comes out of here to the
//! engine are keyed fingerprints.

use std::collections::BTreeMap;

use super::keys::{Keys, NotRead};
use crate::config::model::{Account, SecretSource};
use crate::domain::{Secret, Timestamp};
use crate::secrets::{self, Problem};
use crate::store::{Claim, Fingerprint, Store};

/// An account's credentials, read.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// By the vendor's names.
    pub(crate) values: BTreeMap<String, Secret>,
    /// What a stored token belongs to.
    pub(crate) identity: Fingerprint,
    /// What a stored refresh token belongs to, where that is less.
    pub(crate) grant: Option<Fingerprint>,
    /// Of all of them.
    pub(crate) content: Fingerprint,
    /// The configured first refresh token and its fingerprint.
    pub(crate) seed: Option<(Secret, Fingerprint)>,
    /// Of those that refresh tokens belong to.
    pub(crate) owner: Option<Fingerprint>,
}

/// Why an account's secrets are not there.
#[derive(Debug)]
pub(crate) struct Missing {
    /// In words.
    pub(crate) message: String,
    /// Vault could not be asked.
    pub(crate) away: bool,
}

/// What a look at the sources says without asking the provider anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Probe {
    /// `None` where a source of an identity credential is missing.
    pub(crate) identity: Option<Fingerprint>,
    /// Of what a stored refresh token belongs to, where that is less than the identity and is known.
    pub(crate) grant: Option<Fingerprint>,
    /// `None` where a source is missing, or is a command, which only runs when its value is needed.
    pub(crate) content: Option<Fingerprint>,
    /// Of the configured first refresh token.
    pub(crate) seed: Option<Fingerprint>,
    /// Of those that refresh tokens belong to; `None` where there are none, or one is not known.
    pub(crate) owner: Option<Fingerprint>,
    /// The first source that is missing, in words.
    pub(crate) missing: Option<String>,
    /// Vault could not be asked, or a file does not answer: this says nothing of what stands there.
    pub(crate) away: bool,
    /// Of each that was read, by the vendor's names.
    pub(crate) contents: BTreeMap<String, Fingerprint>,
    /// When each was seen to be another than before.
    pub(crate) changed: BTreeMap<String, Timestamp>,
}

impl Credentials {
    /// What of the stored is theirs.
    pub(crate) fn claim(&self, account: &Account) -> Claim {
        let seed = self.seed.as_ref().map(|(_, seed)| *seed);
        Claim { identity: self.identity, grant: self.grant, seed, provider: account.provider.name.clone() }
    }
}

impl Probe {
    /// What of the stored is theirs, where that is known.
    pub(crate) fn claim(&self, account: &Account) -> Option<Claim> {
        let provider = account.provider.name.clone();
        Some(Claim { identity: self.identity?, grant: self.grant, seed: self.seed, provider })
    }

    /// Follows a look before at the same sources: which of them have other content now. What could not be read this time is
    /// compared with what it was before that.
    pub(crate) fn follow(&mut self, before: &Self, now: Timestamp) -> Vec<String> {
        let differs = |(name, content): &(&String, &Fingerprint)| {
            before.contents.get(*name).is_some_and(|known| known != *content)
        };
        let news: Vec<String> = self.contents.iter().filter(differs).map(|(name, _)| name.clone()).collect();
        for (name, content) in &before.contents {
            self.contents.entry(name.clone()).or_insert(*content);
        }
        self.changed = before.changed.clone();
        self.changed.extend(news.iter().map(|name| (name.clone(), now)));
        news
    }
}

/// Where a credential comes from, for people; nothing of one that stands in the configuration itself.
pub(crate) fn origin(source: &SecretSource) -> Option<String> {
    Some(match source {
        SecretSource::Inline(_) => return None,
        SecretSource::Env(name) => format!("environment variable {name}"),
        SecretSource::File(path) => path.display().to_string(),
        SecretSource::Credential(name) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
            Some(folder) => std::path::Path::new(&folder).join(name).display().to_string(),
            None => format!("credential {name}"),
        },
        // Its arguments may be secret.
        SecretSource::Command(argv) => format!("command {}", argv.first().map_or("", String::as_str)),
        SecretSource::Vault(key) => format!("vault:{}/{}, key {}", key.mount, key.path, key.key),
    })
}

/// Reads all of them; hurries, as a place at the provider's host waits meanwhile.
pub(crate) async fn resolve(
    account: &Account,
    store: &Store,
    vault: Option<&Keys>,
) -> Result<Credentials, Missing> {
    let mut values = BTreeMap::new();
    for (name, source) in &account.credentials {
        let secret = read(source, vault, true)
            .await
            .map_err(|error| Missing { message: worded(name, &error), away: error.away })?;
        values.insert(name.clone(), secret);
    }
    let seed = account.provider.credentials.iter().find(|credential| credential.refresh_seed);
    let seed = seed
        .and_then(|credential| values.get(&credential.name))
        .map(|secret| (secret.clone(), store.seed_mark(secret)));
    Ok(Credentials {
        identity: identity(account, &values, store),
        grant: grant(account, &values, store),
        content: content(&values, store),
        owner: owner(account, &values, store),
        seed,
        values,
    })
}

/// Looks at them as far as that costs nothing: without `vault`, what stands there is not known yet.
pub(crate) async fn probe(account: &Account, store: &Store, vault: Option<&Keys>) -> Probe {
    let (mut values, mut missing, mut whole) = (BTreeMap::new(), None, true);
    let is = |name: &str, test: fn(&crate::config::definition::Credential) -> bool| {
        account.provider.credential(name).is_some_and(test)
    };
    let (mut identity_known, mut away) = (true, false);
    for (name, source) in &account.credentials {
        let identifies = is(name, |credential| credential.identity);
        let costs = match source {
            SecretSource::Command(_) => !identifies,
            SecretSource::Vault(_) => vault.is_none(),
            _ => false,
        };
        if costs {
            whole = false;
            identity_known &= !identifies;
            continue;
        }
        match read(source, vault, false).await {
            Ok(secret) => {
                values.insert(name.clone(), secret);
            }
            Err(error) => {
                whole = false;
                identity_known &= !identifies;
                let unknown = error.away || error.silent;
                away |= unknown;
                missing = missing.or_else(|| (!unknown).then(|| worded(name, &error)));
            }
        }
    }
    let seed = values.iter().find(|(name, _)| is(name, |credential| credential.refresh_seed));
    Probe {
        identity: identity_known.then(|| identity(account, &values, store)),
        grant: identity_known.then(|| grant(account, &values, store)).flatten(),
        content: whole.then(|| content(&values, store)),
        seed: seed.map(|(_, secret)| store.seed_mark(secret)),
        owner: owner(account, &values, store),
        missing,
        away,
        contents: values.iter().map(|(name, secret)| (name.clone(), of_one(name, secret, store))).collect(),
        changed: BTreeMap::new(),
    }
}

/// Whether Vault answers where the account has its secrets there.
pub(crate) async fn vault_answers(account: &Account, vault: Option<&Keys>) -> bool {
    for source in account.credentials.values() {
        if let (SecretSource::Vault(key), Some(keys)) = (source, vault) {
            return keys.read(key).await.err().is_none_or(|error| !error.away);
        }
    }
    true
}

/// From Vault, `soon` or as long as it takes; from anywhere else as it is.
async fn read(source: &SecretSource, vault: Option<&Keys>, soon: bool) -> Result<Secret, NotRead> {
    match (source, vault) {
        (SecretSource::Vault(key), Some(keys)) if soon => keys.read_soon(key).await,
        (SecretSource::Vault(key), Some(keys)) => keys.read(key).await,
        _ => secrets::resolve(source, &secrets::process_environment).await.map_err(|error| NotRead {
            message: error.to_string(),
            hint: error.hint().map(str::to_owned),
            away: false,
            silent: error.problem == Problem::Silent,
        }),
    }
}

fn worded(name: &str, NotRead { message, hint, .. }: &NotRead) -> String {
    match hint {
        Some(hint) => format!("credential `{name}`: {message}; hint: {hint}"),
        None => format!("credential `{name}`: {message}"),
    }
}

fn identity(account: &Account, values: &BTreeMap<String, Secret>, store: &Store) -> Fingerprint {
    let base_url = account.base_url.as_ref().map_or("", url::Url::as_str);
    let mut parts: Vec<&[u8]> = vec![
        b"identity",
        account.provider.name.as_bytes(),
        base_url.as_bytes(),
        account.environment.as_bytes(),
    ];
    for (name, value) in &account.params {
        parts.extend([name.as_bytes(), value.as_bytes()]);
    }
    parts.extend(identifying(account, values));
    store.fingerprint(&parts)
}

/// Who cannot log in has one refresh token, whatever else is asked for with it (RFC 6749, section 6): it belongs to the
/// provider's token endpoint and the client.
fn grant(account: &Account, values: &BTreeMap<String, Secret>, store: &Store) -> Option<Fingerprint> {
    let url = account.refresh_url.as_ref().filter(|_| account.provider.issue.is_none())?;
    let mut parts: Vec<&[u8]> = vec![b"grant", account.provider.name.as_bytes(), url.as_str().as_bytes()];
    parts.extend(identifying(account, values));
    Some(store.fingerprint(&parts))
}

fn identifying<'a>(
    account: &'a Account,
    values: &'a BTreeMap<String, Secret>,
) -> impl Iterator<Item = &'a [u8]> {
    let credentials = account.provider.credentials.iter().filter(|credential| credential.identity);
    let known =
        credentials.filter_map(move |credential| Some((&credential.name, values.get(&credential.name)?)));
    known.flat_map(|(name, secret)| [name.as_bytes(), secret.expose().as_bytes()])
}

/// Of the credentials that refresh tokens belong to, where there are such and all are known.
fn owner(account: &Account, values: &BTreeMap<String, Secret>, store: &Store) -> Option<Fingerprint> {
    let owners = account.provider.credentials.iter().filter(|credential| credential.owns_refresh);
    let mut parts: Vec<&[u8]> = vec![b"owner"];
    for credential in owners {
        let secret = values.get(&credential.name)?;
        parts.extend([credential.name.as_bytes(), secret.expose().as_bytes()]);
    }
    (parts.len() > 1).then(|| store.fingerprint(&parts))
}

fn content(values: &BTreeMap<String, Secret>, store: &Store) -> Fingerprint {
    let named = values.iter().flat_map(|(name, secret)| [name.as_bytes(), secret.expose().as_bytes()]);
    store.fingerprint(&std::iter::once(&b"credentials"[..]).chain(named).collect::<Vec<_>>())
}

fn of_one(name: &str, secret: &Secret, store: &Store) -> Fingerprint {
    store.fingerprint(&[b"credential", name.as_bytes(), secret.expose().as_bytes()])
}
