//! `vault:`, and what names a place there.

use std::sync::Arc;

use super::scalar::{self, Refusal};
use super::{Fields, Report, paths, secret, urls};
use crate::config::model::{KvVersion, SecretSource, Vault, VaultAuth, VaultKey};
use crate::config::shape::{APPROLE, CERT, JWT, KUBERNETES_AUTH, VAULT, VAULT_AUTH, VAULT_KEY};

/// Where a pod finds its service account's token.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The server, and how to log in there.
pub(crate) fn vault(report: &mut Report, main: &Fields<'_, '_>) -> Option<Arc<Vault>> {
    let fields = main.section(report, "vault", &VAULT)?;
    let address = fields.parsed(report, "address", urls::server);
    let namespace = fields.parsed(report, "namespace", place);
    let ca_file = fields.parsed(report, "ca_file", paths::absolute);
    let auth = fields.section(report, "auth", &VAULT_AUTH).and_then(|auth| login(report, &auth));
    Some(Arc::new(Vault { address: address?, namespace, ca_file, auth: auth? }))
}

fn login(report: &mut Report, auth: &Fields<'_, '_>) -> Option<VaultAuth> {
    let method =
        auth.only(report, "a login has exactly one of `token`, `approle`, `kubernetes`, `jwt` and `cert`")?;
    match method {
        "token" => own_secret(report, auth, "token").map(VaultAuth::Token),
        "approle" => {
            let fields = auth.section(report, method, &APPROLE)?;
            let role_id = own_secret(report, &fields, "role_id");
            let secret_id = own_secret(report, &fields, "secret_id");
            let mount = mount_of(report, &fields, method);
            Some(VaultAuth::AppRole { role_id: role_id?, secret_id, mount })
        }
        "kubernetes" => {
            let fields = auth.section(report, method, &KUBERNETES_AUTH)?;
            let role = fields.parsed(report, "role", word);
            let jwt = own_secret(report, &fields, "jwt");
            let jwt = jwt.unwrap_or_else(|| {
                let pods_own = SecretSource::File(SERVICE_ACCOUNT.into());
                report.secret(fields.place, "`vault.auth`, `jwt`".to_owned(), &pods_own, None, false);
                pods_own
            });
            let mount = mount_of(report, &fields, method);
            Some(VaultAuth::Kubernetes { role: role?, jwt, mount })
        }
        "jwt" => {
            let fields = auth.section(report, method, &JWT)?;
            let role = fields.parsed(report, "role", word);
            let jwt = own_secret(report, &fields, "jwt");
            let mount = mount_of(report, &fields, method);
            Some(VaultAuth::Jwt { role, jwt: jwt?, mount })
        }
        _ => {
            let fields = auth.section(report, method, &CERT)?;
            let cert_file = fields.parsed(report, "cert_file", paths::absolute);
            let key_file = fields.parsed(report, "key_file", paths::absolute);
            let name = fields.parsed(report, "name", word);
            let mount = mount_of(report, &fields, method);
            Some(VaultAuth::Cert { cert_file: cert_file?, key_file: key_file?, name, mount })
        }
    }
}

/// A secret of the login: from anywhere but Vault.
fn own_secret(report: &mut Report, fields: &Fields<'_, '_>, key: &str) -> Option<SecretSource> {
    let entry = fields.entry(key)?;
    let source = secret::secret(report, entry)?;
    if matches!(source, SecretSource::Vault(_)) {
        report
            .error(entry.node.place, "a login to Vault whose secret is in Vault")
            .hint("give it as `{ file: ... }`, `{ env: ... }`, `{ credential: ... }` or `{ command: ... }`");
        return None;
    }
    report.secret(entry.node.place, format!("`vault.auth`, `{key}`"), &source, None, key == "role_id");
    Some(source)
}

fn mount_of(report: &mut Report, fields: &Fields<'_, '_>, default: &str) -> String {
    fields.parsed(report, "mount", place).unwrap_or_else(|| default.to_owned())
}

/// A key of a secret there.
pub(super) fn key(report: &mut Report, secret: &Fields<'_, '_>) -> Option<VaultKey> {
    if let Some(node) = secret.node("vault").filter(|node| node.scalar().is_some()) {
        report
            .error(node.place, format!("expected a mapping, found {}", node.what()))
            .hint("a secret in Vault is written `vault: { mount: MOUNT, path: PATH, key: FIELD }`");
        return None;
    }
    let fields = secret.section(report, "vault", &VAULT_KEY)?;
    let mount = fields.parsed(report, "mount", place);
    let kv = kv(report, &fields);
    let path = path(report, &fields, "path", kv);
    let key = fields.parsed(report, "key", field_name);
    Some(VaultKey { mount: mount?, path: path?, key: key?, kv })
}

/// The version of the key-value engine.
pub(super) fn kv(report: &mut Report, fields: &Fields<'_, '_>) -> KvVersion {
    let version = |text: &str| match text {
        "1" => Ok(KvVersion::V1),
        "2" => Ok(KvVersion::V2),
        _ => Err(Refusal::EXPECTED),
    };
    fields.parsed(report, "kv", version).unwrap_or(KvVersion::V2)
}

/// A path below a mount. One that is written as the API has it is doubtful.
pub(super) fn path(report: &mut Report, fields: &Fields<'_, '_>, key: &str, kv: KvVersion) -> Option<String> {
    let path = fields.parsed(report, key, place)?;
    doubt(report, fields.place_of(key), &path, kv);
    Some(path)
}

/// Warns of the `data/` that only the API has.
pub(super) fn doubt(report: &mut Report, at: crate::config::tree::Place, path: &str, kv: KvVersion) {
    if kv == KvVersion::V2 && path.starts_with("data/") {
        report
            .warn(at, "the API's `data/` is written twice: the secret would be `data/data/...`")
            .hint("leave out `data/`; renewd adds it for `kv: 2`");
    }
}

/// A path in Vault, slashes at its ends dropped.
pub(super) fn place(text: &str) -> Result<String, Refusal> {
    let trimmed = text.trim_matches('/');
    let fits = |part: &str| !matches!(part, "" | "." | "..");
    match trimmed.split('/').all(fits) {
        _ if text.chars().any(|c| c.is_control() || "?#%*".contains(c)) => {
            Err(Refusal::because("a control character, `?`, `#`, `%` or `*` in a path of Vault"))
        }
        _ if trimmed.is_empty() => Err(Refusal::EXPECTED),
        true if trimmed.len() <= 512 => Ok(trimmed.to_owned()),
        true => Err(Refusal::because("a path in Vault has 512 bytes at most")),
        false => Err(Refusal::because("an empty part, `.` or `..` in a path of Vault")),
    }
}

/// `MOUNT/PATH`.
pub(super) fn target(text: &str) -> Result<(String, String), Refusal> {
    let whole = place(text)?;
    match whole.split_once('/') {
        Some((mount, path)) => Ok((mount.to_owned(), path.to_owned())),
        None => Err(Refusal::EXPECTED.with_hint(
            "the mount comes first; one that has a `/` in it needs the long form: `{ mount: ..., path: ... }`",
        )),
    }
}

/// A field of a secret.
pub(super) fn field_name(text: &str) -> Result<String, Refusal> {
    match text.trim() == text && !text.is_empty() {
        true => scalar::printable(255)(text),
        false => {
            Err(Refusal::because("not the name of a field: it is empty, or a space stands at an end of it"))
        }
    }
}

fn word(text: &str) -> Result<String, Refusal> {
    match text.is_empty() {
        true => Err(Refusal::EXPECTED),
        false => scalar::printable(255)(text),
    }
}
