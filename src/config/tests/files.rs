//! Configurations of several files.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::{BUILTIN, same};
use crate::config::{Loaded, Problems, load, watched};

fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn load_folder(folder: &Path) -> Result<Loaded, Problems> {
    load(&folder.join("renewd.yaml"), &|_| None, &BUILTIN, &crate::sink::trial::attempt)
}

fn said(folder: &Path) -> String {
    let said = load_folder(folder).expect_err("a mistake").to_string();
    said.replace(&format!("{}/", folder.display()), "")
}

const ACCOUNT: &str = "{ provider: bizppurio, credentials: { account: x, password: y } }";

#[test]
fn included_files_add_accounts_and_providers() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    put(at, "renewd.yaml", "include: [accounts.d/*.yaml, more.yaml]\naccounts: {}\n");
    put(at, "accounts.d/b.yaml", &format!("accounts: {{ b: {ACCOUNT} }}\n"));
    put(at, "accounts.d/a.yaml", &format!("accounts: {{ a: {ACCOUNT}, c: {{ provider: mine }} }}\n"));
    put(at, "accounts.d/.hidden.yaml", "nonsense");
    put(at, "accounts.d/..2024/a.yaml", "nonsense");
    put(at, "accounts.d/empty.yaml", "");
    put(
        at,
        "more.yaml",
        "providers: { mine: { life: 1h, issue: { request: { url: \"https://x/t\" }, response: { token: /t } } } }\n",
    );
    let config = load_folder(at).unwrap_or_else(|problems| panic!("{problems}")).config;
    assert_eq!(config.accounts.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let files =
        ["renewd.yaml", "accounts.d/a.yaml", "accounts.d/b.yaml", "accounts.d/empty.yaml", "more.yaml"];
    assert_eq!(config.files, files.map(|name| at.join(name)));
    assert_eq!(config.include_folders, [at.join("accounts.d")]);
    let seen = watched(&at.join("renewd.yaml"));
    assert_eq!((seen.files, seen.include_folders), (config.files, config.include_folders));
}

#[test]
fn mistakes_of_all_files_are_reported_together() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    put(
        at,
        "renewd.yaml",
        &format!("include: [\"*.yaml\", gone.yaml, sub]\naccounts:\n  a: {ACCOUNT}\n  b: {{}}\n"),
    );
    put(at, "one.yaml", &format!("agent: {{}}\ninclude: []\naccounts:\n  a: {ACCOUNT}\n"));
    put(at, "two.yaml", "accounts: {\n");
    File::create(at.join("zzz.yaml")).unwrap().write_all(b"\xff").unwrap();
    std::fs::create_dir(at.join("sub")).unwrap();
    same(
        &said(at),
        r#"
renewd.yaml:1:21: there is no such file: not found
  1 | include: ["*.yaml", gone.yaml, sub]
    |                     ^
renewd.yaml:1:32: this is a folder; write a pattern such as `FOLDER/*.yaml`
  1 | include: ["*.yaml", gone.yaml, sub]
    |                                ^
renewd.yaml:4:3: `provider` is missing in an account
  4 |   b: {}
    |   ^
  hint: add `provider`: the provider's name: a built-in one, or one under `providers`.
one.yaml:1:1: `agent` may stand in the main file only
  1 | agent: {}
    | ^
one.yaml:2:1: `include` cannot stand in an included file: includes do not nest
  2 | include: []
    | ^
one.yaml:4:3: this account stands twice (first in renewd.yaml, line 3)
  4 |   a: { provider: bizppurio, credentials: { account: ***, password: *** } }
    |   ^
two.yaml:1:11: a `{` is not closed
  1 | accounts: ***
    |           ^
  hint: close it with `}` where it ends; as it stands, it goes on up to the end of the file
zzz.yaml:1:1: byte 0 is not UTF-8 text
  hint: save the file as UTF-8
"#,
    );
}

#[test]
fn what_cannot_be_read_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    assert_eq!(said(at), "renewd.yaml: the file cannot be read: not found");
    std::fs::create_dir(at.join("renewd.yaml")).unwrap();
    assert_eq!(said(at), "renewd.yaml: the configuration is a folder");
}

#[test]
fn a_file_of_more_than_64_mib_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    File::create(folder.path().join("renewd.yaml")).unwrap().set_len((64 << 20) + 1).unwrap();
    assert_eq!(said(folder.path()), "renewd.yaml: the file has more than 64 MiB");
}

#[test]
fn a_pattern_that_matches_no_file_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    put(at, "renewd.yaml", "include: [conf.d/*.yaml, empty.d/*.yaml, \"renewd.y*\"]\naccounts: {}\n");
    put(at, "empty.d/.hidden.yaml", "nonsense");
    let loaded = load_folder(at).unwrap_or_else(|problems| panic!("{problems}"));
    let said = Problems(loaded.warnings).to_string().replace(&format!("{}/", at.display()), "");
    same(
        &said,
        r#"
renewd.yaml:1:11: this pattern matches no file
  1 | include: [conf.d/*.yaml, empty.d/*.yaml, "renewd.y*"]
    |           ^
  hint: there is no folder conf.d
renewd.yaml:1:26: this pattern matches no file
  1 | include: [conf.d/*.yaml, empty.d/*.yaml, "renewd.y*"]
    |                          ^
  hint: an empty folder may be meant; names that begin with `.` or `#` or end with `~` never match
"#,
    );
    let seen = watched(&at.join("renewd.yaml"));
    assert_eq!(seen.include_folders, [at.join("conf.d"), at.join("empty.d"), at.to_owned()]);
}
