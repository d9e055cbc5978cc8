//! Delivery beyond single files: what loads, and as what.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::{BUILTIN, load, said, same};
use crate::config::model::{
    Audit, Config, Hook, HookSignal, KvVersion, OnRemove, SecretSource, Sink, TemplateForm, VaultAuth,
    VaultKey, WriteMode,
};
use crate::config::{load_text, watched};
use crate::domain::AlertLevel;

fn loaded(text: &str) -> Config {
    let loaded = load(text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.warnings, []);
    loaded.config
}

const CONTRACT: &str = r#"
vault:                              # needed only where a vault sink or a vault secret is used
  address: https://vault.example.com:8200
  namespace: team-a
  ca_file: /etc/ssl/vault.pem
  auth:                             # exactly one
    token: { file: /run/secrets/vault-token }
accounts:
  messaging:
    provider: bizppurio
    credentials: { account: acme, password: { vault: { mount: secret, path: vendors/bizppurio, key: password } } }
    verify: { url: https://api.example.com/me, expect: [200] }   # try a new token before delivering it
    sinks:
      - vault: secret/tokens/messaging                 # <mount>/<path>
      - vault: { mount: secret, path: tokens/mine, kv: 1, fields: { token: "{{ access_token }}" }, on_remove: delete }
      - kubernetes: { secret: messaging-token, namespace: apps, keys: { token: "{{ access_token }}" } }
      - kubernetes: { secret: messaging-token }
    on_change:
      - signal: { pid_file: /run/app.pid, signal: HUP }
      - command: [systemctl, reload, app]
      - command: { argv: [/usr/bin/app, reload], timeout: 5s }
      - webhook: { url: http://127.0.0.1:9000/rotated }   # names and times; never the token
templates:                          # files made from several accounts' tokens
  - path: /run/renewd/app.env
    inline: |
      TOKEN={{ accounts.messaging.access_token }}
    mode: "0640"
    on_change: [signal: { pid_file: /run/app.pid, signal: SIGUSR1 }]
  - directory: /run/renewd/app/     # a set of files that flips as one (`..data` symlink swap)
    files: { token: "{{ accounts.messaging.access_token }}", meta.json: { inline: "{{ accounts.messaging|json }}" } }
"#;

#[test]
fn the_contracts_sections_load() {
    let env = |name: &str| (name == "POD_NAMESPACE").then(|| "mine".to_owned());
    let path = Path::new("/etc/renewd/renewd.yaml");
    let loaded = load_text(path, CONTRACT, &env, &BUILTIN).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    let vault = config.vault.unwrap();
    assert_eq!(vault.address.as_str(), "https://vault.example.com:8200/");
    assert_eq!(vault.namespace.as_deref(), Some("team-a"));
    assert_eq!(vault.ca_file.as_deref(), Some(Path::new("/etc/ssl/vault.pem")));
    assert_eq!(vault.auth, VaultAuth::Token(SecretSource::File("/run/secrets/vault-token".into())));

    let account = &config.accounts["messaging"];
    let key = VaultKey {
        mount: "secret".to_owned(),
        path: "vendors/bizppurio".to_owned(),
        key: "password".to_owned(),
        kv: KvVersion::V2,
    };
    assert_eq!(account.credentials["password"], SecretSource::Vault(key));
    let verify = account.verify.as_ref().unwrap();
    assert_eq!((verify.url.as_str(), verify.expect.as_slice()), ("https://api.example.com/me", &[200][..]));
    assert_eq!(verify.timeout, Duration::from_secs(10));
    let ids: Vec<String> = account.sinks.iter().map(Sink::id).collect();
    let expected = [
        "vault:secret/tokens/messaging",
        "vault:secret/tokens/mine",
        "kubernetes:apps/messaging-token",
        "kubernetes:mine/messaging-token",
    ];
    assert_eq!(ids, expected);
    let (Sink::Vault(short), Sink::Vault(long)) = (&account.sinks[0], &account.sinks[1]) else {
        panic!("vault sinks")
    };
    assert_eq!((short.kv, short.fields.as_ref(), short.on_remove), (KvVersion::V2, None, OnRemove::Keep));
    assert_eq!((long.kv, long.on_remove), (KvVersion::V1, OnRemove::Delete));
    assert_eq!(long.fields.as_ref().unwrap()["token"], "{{ access_token }}");
    let Sink::Kubernetes(secret) = &account.sinks[2] else { panic!("a Kubernetes sink") };
    assert_eq!(secret.keys.as_ref().unwrap()["token"], "{{ access_token }}");
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let secs = Duration::from_secs;
    let hooks = [
        Hook::Signal { pid_file: "/run/app.pid".into(), signal: HookSignal::Hup },
        Hook::Command { argv: words(&["systemctl", "reload", "app"]), timeout: secs(30) },
        Hook::Command { argv: words(&["/usr/bin/app", "reload"]), timeout: secs(5) },
        Hook::Webhook { url: "http://127.0.0.1:9000/rotated".parse().unwrap(), timeout: secs(10) },
    ];
    assert_eq!(account.on_change, hooks);

    let [file, folder] = config.templates.as_slice() else { panic!("two templates") };
    assert_eq!((file.path.as_path(), file.mode), (Path::new("/run/renewd/app.env"), 0o640));
    assert_eq!(file.accounts, std::slice::from_ref(&account.name));
    let signal = Hook::Signal { pid_file: "/run/app.pid".into(), signal: HookSignal::Usr1 };
    assert_eq!(file.on_change, [signal]);
    let TemplateForm::File { text, write } = &file.form else { panic!("a file") };
    assert_eq!(text.text, "TOKEN={{ accounts.messaging.access_token }}\n");
    assert_eq!((text.source.as_ref(), *write), (None, WriteMode::Replace));
    assert_eq!((folder.path.as_path(), folder.mode), (Path::new("/run/renewd/app"), 0o600));
    let TemplateForm::Directory(files) = &folder.form else { panic!("a folder") };
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), ["meta.json", "token"]);
}

#[test]
fn every_way_to_log_in_loads() {
    let auth = |auth: &str| {
        let text = format!("vault: {{ address: \"http://127.0.0.1:8200\", auth: {auth} }}\naccounts: {{}}\n");
        loaded(&text).vault.unwrap().auth.clone()
    };
    let file = |path: &str| SecretSource::File(path.into());
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        auth("{ approle: { role_id: { env: R }, secret_id: { file: /s }, mount: /team/approle/ } }"),
        VaultAuth::AppRole {
            role_id: SecretSource::Env("R".to_owned()),
            secret_id: Some(file("/s")),
            mount: "team/approle".to_owned()
        }
    );
    assert_eq!(
        auth("{ kubernetes: { role: renewd } }"),
        VaultAuth::Kubernetes {
            role: "renewd".to_owned(),
            jwt: file("/var/run/secrets/kubernetes.io/serviceaccount/token"),
            mount: "kubernetes".to_owned()
        }
    );
    assert_eq!(
        auth("{ jwt: { role: renewd, jwt: { file: /j } } }"),
        VaultAuth::Jwt { role: some("renewd"), jwt: file("/j"), mount: "jwt".to_owned() }
    );
    assert_eq!(
        auth("{ cert: { cert_file: /c.pem, key_file: /k.pem, name: renewd } }"),
        VaultAuth::Cert {
            cert_file: "/c.pem".into(),
            key_file: "/k.pem".into(),
            name: some("renewd"),
            mount: "cert".to_owned()
        }
    );
}

#[test]
fn defaults_give_verify_sinks_and_hooks_as_a_whole() {
    let text = r#"
defaults:
  provider: bizppurio
  verify: { url: "https://api.example.com/me", expect: [200, 204], timeout: 3s }
  on_change: [command: [systemctl, reload, app]]
accounts:
  a: { credentials: { account: x, password: y } }
  b: { credentials: { account: x, password: z }, verify: { url: "https://api.example.com/you" }, on_change: [] }
  c: { credentials: { account: x, password: w }, verify: off }
  d: { credentials: { account: x, password: v }, verify: "http://localhost:8080/me" }
"#;
    let accounts = loaded(text).accounts;
    let verify = |name: &str| {
        let verify = accounts[name].verify.as_ref()?;
        Some((verify.url.path().to_owned(), verify.expect.clone(), verify.timeout.as_secs()))
    };
    assert_eq!(verify("a"), Some(("/me".to_owned(), vec![200, 204], 3)));
    assert_eq!(verify("b"), Some(("/you".to_owned(), vec![200], 10)));
    assert_eq!((verify("c"), verify("d")), (None, Some(("/me".to_owned(), vec![200], 10))));
    assert_eq!(["a", "b", "c"].map(|name| accounts[name].on_change.len()), [1, 0, 1]);
}

fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn load_folder(folder: &Path) -> Result<crate::config::Loaded, String> {
    let loaded =
        crate::config::load(&folder.join("renewd.yaml"), &|_| None, &BUILTIN, &crate::sink::trial::attempt);
    loaded.map_err(|problems| problems.to_string().replace(&format!("{}/", folder.display()), ""))
}

const ACCOUNT: &str = "{ provider: bizppurio, credentials: { account: x, password: y } }";

#[test]
fn template_files_are_read_relative_to_the_file_that_names_them_and_are_watched() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let main = format!(
        "include: [conf.d/*.yaml]\naccounts: {{ a: {ACCOUNT}, my-app: {{ provider: bizppurio, credentials: {{ account: z, password: y }} }} }}\n\
         templates:\n  - {{ path: /run/one, source: one.j2 }}\n  - {{ path: /run/two, source: one.j2 }}\n"
    );
    put(at, "renewd.yaml", &main);
    put(at, "one.j2", "{{ accounts.a.access_token }}");
    put(
        at,
        "conf.d/more.yaml",
        "templates:\n  - { directory: /run/set, files: { x: { source: all.j2 } } }\n",
    );
    put(at, "conf.d/all.j2", "{% for name in accounts %}{{ accounts[name].access_token }}\n{% endfor %}");
    let config = load_folder(at).unwrap().config;
    let files = ["renewd.yaml", "conf.d/more.yaml", "one.j2", "conf.d/all.j2"].map(|name| at.join(name));
    assert_eq!(config.files, files);
    assert_eq!(watched(&at.join("renewd.yaml")).files, files);
    let made_from: Vec<Vec<&str>> = config
        .templates
        .iter()
        .map(|target| target.accounts.iter().map(crate::domain::AccountId::as_str).collect())
        .collect();
    assert_eq!(made_from, [vec!["a"], vec!["a"], vec!["a", "my-app"]]);

    // Also while the configuration is broken, so that its mending is seen.
    put(at, "renewd.yaml", &format!("{main}nonsense: true\n"));
    std::fs::remove_file(at.join("conf.d/all.j2")).unwrap();
    assert!(load_folder(at).is_err());
    assert_eq!(watched(&at.join("renewd.yaml")).files, files);
}

#[test]
fn a_mistake_in_a_template_file_is_told_with_its_line_and_without_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    put(
        at,
        "renewd.yaml",
        &format!(
            "accounts: {{ messaging: {ACCOUNT} }}\ntemplates:\n  - {{ path: /run/a.env, source: a.j2 }}\n  - {{ path: /run/b, source: b.j2 }}\n  \
             - {{ path: /run/c, source: gone.j2 }}\n  - {{ path: /run/d, source: . }}\n  - {{ path: /run/e, source: e.j2 }}\n  - {{ path: /run/f, source: f.j2 }}\n  - {{ path: /run/f.env, source: big.j2 }}\n  \
             - {{ path: {0}/a.j2, source: g.j2 }}\n",
            at.display()
        ),
    );
    put(
        at,
        "a.j2",
        "# hunter2\nPASSWORD=hunter2\nT=\"{{ accounts.mesaging['access_token'] }}\" hunter2 {{ 'hunter2' }}\n",
    );
    put(at, "b.j2", "ok {{ accounts.messaging.account }}\nhunter2 {% if %}\n");
    File::create(at.join("e.j2")).unwrap().write_all(b"x\xff").unwrap();
    put(at, "f.j2", "hunter2");
    put(at, "g.j2", "{{ accounts.messaging.account }}");
    File::create(at.join("big.j2")).unwrap().set_len((1 << 20) + 1).unwrap();
    let said = load_folder(at).unwrap_err();
    assert!(!said.contains("hunter2"), "{said}");
    same(
        &said.replace(&at.display().to_string(), ""),
        r#"
renewd.yaml:5:29: the template cannot be read: not found
  5 |   - { path: /run/c, source: gone.j2 }
    |                             ^
  hint: `source` is relative to the file that it stands in
renewd.yaml:6:29: the template is a folder
  6 |   - { path: /run/d, source: . }
    |                             ^
renewd.yaml:7:29: byte 1 of the template is not UTF-8 text
  7 |   - { path: /run/e, source: e.j2 }
    |                             ^
  hint: save the file as UTF-8
renewd.yaml:8:13: the template names no account
  8 |   - { path: /run/f, source: f.j2 }
    |             ^
  hint: name one, as in `{{ accounts.NAME.access_token }}`; renewd writes what changes with a token
renewd.yaml:9:33: the template has more than 1 MiB
  9 |   - { path: /run/f.env, source: big.j2 }
    |                                 ^
renewd.yaml:10:13: a template would overwrite the source of a template
  10 |   - { path: a.j2, source: g.j2 }
     |             ^
a.j2:3:16: there is no account `mesaging`
  3 | T="{{ accounts.mesaging['access_token'] }}***{{ *** }}
    |                ^
  hint: did you mean `messaging`?
b.j2:2:15: the template is not valid: unexpected end of block
  2 | ***{% if %}
    |          ^
"#,
    );
}

#[test]
fn doubtful_templates_and_paths_are_warnings() {
    let text = r#"
vault: { address: "https://v", auth: { token: { file: /run/t } } }
accounts:
  a: { provider: bizppurio, credentials: { account: x, password: y }, sinks: [vault: secret/data/x] }
templates:
  - path: /run/renewd/a.env
    inline: |
      A={{ accounts.a.access_token }}
      B="{{ accounts.a.access_token }}"
    write: in-place
    mode: "0644"
"#;
    same(
        &said(text),
        r#"
/etc/renewd/renewd.yaml:4:86: the API's `data/` is written twice: the secret would be `data/data/...`
  4 |   a: { provider: bizppurio, credentials: { account: ***, password: *** }, sinks: [vault: secret/data/x] }
    |                                                                                          ^
  hint: leave out `data/`; renewd adds it for `kv: 2`
/etc/renewd/renewd.yaml:9:9: quotes around a value that brings its own where it needs them
  9 |       B="{{ accounts.a.access_token }}"
    |         ^
  hint: in `.env` files write NAME={{ access_token }} without quotes
/etc/renewd/renewd.yaml:10:12: an in-place file cannot promise whole reads: a reader may see half a token
  10 |     write: in-place
     |            ^
  hint: use `replace` unless the file itself is a mount point
/etc/renewd/renewd.yaml:11:11: anyone on this machine can read the token
  11 |     mode: "0644"
     |           ^
  hint: use "0640" and a group
"#,
    );
}

#[test]
fn the_audit_log_and_the_alerts_of_the_contract_load() {
    let text = r#"
agent:
  audit: /var/log/renewd/audit.jsonl    # off by default; never a token
  alerts:
    - webhook: { url: "https://hooks.example.com/x", at: [warn, critical, recovered] }
    - webhook: { url: "http://127.0.0.1:9000/x", at: [critical], timeout: 2s }
    - command: [/usr/bin/page, --key=hunter2]
    - command: { argv: [page], at: [recovered] }
accounts: {}
"#;
    let agent = loaded(text).agent;
    let audit = Audit { path: "/var/log/renewd/audit.jsonl".into(), mode: 0o600, group: None };
    assert_eq!(agent.audit, Some(audit));
    let all = [AlertLevel::Recovered, AlertLevel::Warn, AlertLevel::Critical];
    let levels: Vec<Vec<AlertLevel>> =
        agent.alerts.iter().map(|alert| alert.at.iter().copied().collect()).collect();
    assert_eq!(levels, [&all[..], &[AlertLevel::Critical], &all, &[AlertLevel::Recovered]]);
    assert!(
        matches!(&agent.alerts[1].hook, Hook::Webhook { timeout, .. } if *timeout == Duration::from_secs(2))
    );
    assert!(matches!(&agent.alerts[2].hook, Hook::Command { argv, .. } if argv.len() == 2));

    let agent =
        loaded("agent: { audit: { path: /x/y, mode: \"0640\", group: adm }, alerts: [] }\naccounts: {}\n")
            .agent;
    assert_eq!(agent.audit, Some(Audit { path: "/x/y".into(), mode: 0o640, group: Some("adm".to_owned()) }));
    assert_eq!(loaded("agent: { audit: off }\naccounts: {}\n").agent.audit, None);
    let clash = "agent: { audit: /x/y }\naccounts: { a: { provider: portone, credentials: { apiSecret: x }, sinks: [file: /x/y] } }\n";
    assert!(said(clash).contains("a sink would overwrite the audit log"), "{}", said(clash));
}
