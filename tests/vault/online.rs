//! `check --online` against a real server: the login, what secrets need, where sinks write. Nothing is written.

use renewd::simulator::Provider;
use serde_json::json;

use crate::bench::Bench;

const ANY: Provider = Provider::OAuthClientCredentials;

fn check(bench: &Bench) -> (Option<i32>, String) {
    let output = bench.renewd(&["check", "--online"]);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn check_online_logs_in_reads_secrets_and_asks_what_the_policy_allows() {
    let mut bench = bench!();
    let mut account = bench.to_vault(ANY, "a");
    account.1["credentials"]["client_secret"] =
        json!({ "vault": { "mount": "secret", "path": "vendors/a", "key": "secret" } });
    bench.write("vendors/a", json!({ "secret": "first-secret-of-a" }));
    bench.world.write(&bench.vault(bench.approle("10m"), [account]));
    let (code, said) = check(&bench);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(": the login works\n"), "{said}");
    assert_eq!(bench.version("tokens/a"), 0, "nothing is written");

    bench.allow(
        r#"path "secret/data/tokens/*" { capabilities = ["read", "create"] }
           path "secret/data/vendors/*" { capabilities = ["read"] }"#,
    );
    bench.write("vendors/a", json!({ "password": "first-secret-of-a" }));
    let (code, said) = check(&bench);
    assert_eq!(code, Some(1), "{said}");
    for words in [
        "account `a`, credential `client_secret`: the secret at `secret/vendors/a` in Vault has no key `secret`",
        "account `a`, sink vault:secret/tokens/a: Vault's policy denies create and update on `secret/data/tokens/a`",
        r#"hint: the login's policy needs: path "secret/data/tokens/a" { capabilities = ["create", "update"] }"#,
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }

    bench.put("secret-id", "7b1b1aa9-e7f4-2a13-1e3d-cb0d5d5ac0ff");
    let (code, said) = check(&bench);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Vault refuses the login by approle (HTTP 400)"), "{said}");
    bench.seal();
    assert!(check(&bench).1.contains("Vault is sealed"));
    bench.kill();
    assert!(check(&bench).1.contains("Vault was not reached: connection refused"));
}
