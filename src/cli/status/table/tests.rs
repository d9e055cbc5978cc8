use super::*;
use crate::cli::status::tests::{account, at, error, picture, sink, status_of, terminal};
use crate::domain::{AccountId, ErrorClass};
use crate::observe::status::{HookState, Lack, PlaceStatus, ServerState, ServerStatus, SinkState};

#[test]
fn a_hook_that_fails_and_what_a_template_waits_for_stand_below_their_rows() {
    let hook = |name: &str, error: Option<ErrorInfo>| HookStatus {
        hook: name.to_owned(),
        state: if error.is_some() { HookState::Failed } else { HookState::Told },
        next: error.as_ref().map(|_| at(4)),
        running_since: None,
        error,
    };
    let words = "the hook's command `systemctl` ended with status 1; hint: run it by hand";
    let failing = hook("command:systemctl", Some(error(ErrorClass::Transient, words, 3)));
    let hooks = vec![hook("signal:/run/app.pid", None), failing];
    let mut status =
        status_of(vec![AccountStatus { hooks: hooks.clone(), ..account("messaging", "bizppurio") }]);
    let lacking = |name: &str, reason| Awaited { account: AccountId::new(name).unwrap(), reason };
    status.templates = vec![TemplateStatus {
        expires_at: None,
        path: "/run/renewd/app.env".into(),
        state: SinkState::Unwritten,
        written_at: None,
        error: None,
        writing_since: None,
        next: None,
        waits_for: vec![lacking("b", Lack::NoToken), lacking("c", Lack::Ended)],
        hooks,
    }];
    insta::assert_snapshot!(picture(&status, terminal(80)), @r#"
    renewd 0.1.0 · /etc/renewd/renewd.yaml · generation 3 · loaded 2h ago
    ● 1 fresh

      ACCOUNT    PROVIDER   STATE  LEFT                   NEXT    SINKS
    ● messaging  bizppurio  fresh  ███████▋░░░░ 38m left  in 12m  1/1 written
      └ hook command:systemctl failed 3s ago (transient), again in 4s: the hook's
        command `systemctl` ended with status 1; hint: run it by hand

      TEMPLATE
    ○ /run/renewd/app.env  unwritten
      └ waits for `b`: no token yet, for `c`: its token has ended
      └ hook command:systemctl failed 3s ago (transient), again in 4s: the hook's
        command `systemctl` ended with status 1; hint: run it by hand
    "#);
    insta::assert_snapshot!(picture(&status, Look::plain()), @r#"
    ACCOUNT    PROVIDER   STATE  LEFT      NEXT    SINKS
    messaging  bizppurio  fresh  38m left  in 12m  1/1 written
        hook command:systemctl failed 3s ago (transient), again in 4s: the hook's command `systemctl` ended with status 1; hint: run it by hand

    TEMPLATE
    /run/renewd/app.env  unwritten
        waits for `b`: no token yet, for `c`: its token has ended
        hook command:systemctl failed 3s ago (transient), again in 4s: the hook's command `systemctl` ended with status 1; hint: run it by hand
    "#);
    insta::assert_snapshot!(super::super::verdict::complaints(&status).join("\n"), @r#"
    messaging: hook command:systemctl failed: the hook's command `systemctl` ended with status 1; hint: run it by hand (transient, 3s ago)
    /run/renewd/app.env is not yet written: waits for `b`: no token yet, for `c`: its token has ended
    /run/renewd/app.env: hook command:systemctl failed: the hook's command `systemctl` ended with status 1; hint: run it by hand (transient, 3s ago)
    "#);
    let wait = super::super::verdict::undelivered(&status.accounts[0], status.now);
    assert_eq!(wait, [""; 0], "the token is where it should be");
    let page = super::super::detail::lines(&status.accounts[0], status.now, Look::plain());
    let page = super::super::page(&page, Look::plain());
    insta::assert_snapshot!(page.split_at(page.find("HOOKS").unwrap()).1, @r#"
    HOOKS
      told  signal:/run/app.pid
      failed  command:systemctl
          hook command:systemctl failed 3s ago (transient), again in 4s: the hook's command `systemctl` ended with status 1; hint: run it by hand
    "#);
    let document = serde_json::to_value(&status).unwrap();
    assert_eq!(document["accounts"][0]["hooks"][1]["state"], "failed");
    assert_eq!(document["templates"][0]["waits_for"][0]["reason"], "no_token");
}

#[test]
fn a_server_that_is_away_stands_above_the_table_and_without_a_terminal_below_it() {
    let mut status = status_of(vec![account("messaging", "bizppurio")]);
    let words = "Vault is sealed; hint: unseal it (`bao operator unseal`); renewd goes on by itself";
    status.servers = vec![ServerStatus {
        name: "vault".to_owned(),
        state: ServerState::Away,
        since: at(-200),
        error: error(ErrorClass::Transient, words, 12),
        next: Some(at(21)),
    }];
    insta::assert_snapshot!(picture(&status, terminal(80)), @r#"
    renewd 0.1.0 · /etc/renewd/renewd.yaml · generation 3 · loaded 2h ago
    ● 1 fresh
    ✗ vault is away, for 3m 20s, again in 21s: Vault is sealed; hint: unseal it
      (`bao operator unseal`); renewd goes on by itself

      ACCOUNT    PROVIDER   STATE  LEFT                   NEXT    SINKS
    ● messaging  bizppurio  fresh  ███████▋░░░░ 38m left  in 12m  1/1 written
    "#);
    insta::assert_snapshot!(picture(&status, Look::plain()), @r#"
    ACCOUNT    PROVIDER   STATE  LEFT      NEXT    SINKS
    messaging  bizppurio  fresh  38m left  in 12m  1/1 written

    vault is away, for 3m 20s, again in 21s: Vault is sealed; hint: unseal it (`bao operator unseal`); renewd goes on by itself
    "#);
    let document = serde_json::to_value(&status).unwrap();
    assert_eq!(document["servers"][0]["state"], "away");
}

#[test]
fn why_a_server_is_away_is_said_once_and_its_sinks_and_slow_ones_and_unverified_tokens_have_a_line() {
    let sealed = error(ErrorClass::Transient, "Vault is sealed", 12);
    let on_vault = |name: &str| SinkStatus {
        server: Some("vault".to_owned()),
        ..sink(name, SinkState::Failed, Some(sealed.clone()))
    };
    let slow = SinkStatus { writing_since: Some(at(-9)), ..sink("file:/nfs/a", SinkState::Unwritten, None) };
    let account = AccountStatus {
        unverified: Some(error(ErrorClass::Malformed, "`verify.url` answers HTTP 401", 12)),
        sinks: vec![on_vault("vault:secret/a"), on_vault("vault:secret/b"), slow],
        ..account("messaging", "bizppurio")
    };
    let mut status = status_of(vec![account]);
    status.servers = vec![ServerStatus {
        name: "vault".to_owned(),
        state: ServerState::Away,
        since: at(-200),
        error: sealed,
        next: None,
    }];
    insta::assert_snapshot!(picture(&status, Look::plain()), @r#"
    ACCOUNT    PROVIDER   STATE  LEFT      NEXT    SINKS
    messaging  bizppurio  fresh  38m left  in 12m  0/3 written
        not verified 12s ago: `verify.url` answers HTTP 401
        vault:secret/a waits for vault
        vault:secret/b waits for vault
        file:/nfs/a is being written for 9s, without an end so far

    vault is away, for 3m 20s: Vault is sealed
    "#);
    insta::assert_snapshot!(super::super::verdict::complaints(&status).join("\n"), @r#"
    messaging is not verified: `verify.url` answers HTTP 401 (malformed, 12s ago)
    messaging: vault:secret/a waits for vault
    messaging: vault:secret/b waits for vault
    messaging: file:/nfs/a is being written for 9s, without an end so far
    vault is away, for 3m 20s: Vault is sealed (transient, 12s ago)
    "#);
}

#[test]
fn where_a_configuration_is_what_is_missing_no_server_is_said_to_be_away() {
    let missing = error(ErrorClass::Config, "no configuration of a Kubernetes cluster was found", 12);
    let on_kubernetes = SinkStatus {
        server: Some("kubernetes".to_owned()),
        ..sink("kubernetes:app/token", SinkState::Failed, Some(missing.clone()))
    };
    let mut status =
        status_of(vec![AccountStatus { sinks: vec![on_kubernetes], ..account("messaging", "bizppurio") }]);
    status.servers = vec![ServerStatus {
        name: "kubernetes".to_owned(),
        state: ServerState::Away,
        since: at(-26),
        error: missing,
        next: Some(at(5)),
    }];
    insta::assert_snapshot!(picture(&status, Look::plain()), @r#"
    ACCOUNT    PROVIDER   STATE  LEFT      NEXT    SINKS
    messaging  bizppurio  fresh  38m left  in 12m  0/1 written
        kubernetes:app/token cannot be written without kubernetes

    kubernetes cannot be used, again in 5s: no configuration of a Kubernetes cluster was found
    "#);
    insta::assert_snapshot!(super::super::verdict::complaints(&status).join("\n"), @r#"
    messaging: kubernetes:app/token cannot be written without kubernetes
    kubernetes cannot be used, again in 5s: no configuration of a Kubernetes cluster was found (config, 12s ago)
    "#);
}

#[test]
fn a_sink_and_a_template_that_failed_say_when_they_are_tried_again() {
    let full = error(ErrorClass::Config, "the disk is full", 3);
    let failed = SinkStatus {
        next: Some(at(4)),
        ..sink("file:/run/renewd/a.token", SinkState::Failed, Some(full.clone()))
    };
    let mut status =
        status_of(vec![AccountStatus { sinks: vec![failed], ..account("messaging", "bizppurio") }]);
    status.templates = vec![TemplateStatus {
        expires_at: None,
        path: "/run/renewd/app.env".into(),
        state: SinkState::Failed,
        written_at: None,
        error: Some(full),
        writing_since: None,
        next: Some(at(8)),
        waits_for: Vec::new(),
        hooks: Vec::new(),
    }];
    insta::assert_snapshot!(picture(&status, Look::plain()), @r#"
    ACCOUNT    PROVIDER   STATE  LEFT      NEXT    SINKS
    messaging  bizppurio  fresh  38m left  in 12m  0/1 written
        file:/run/renewd/a.token failed 3s ago (config), again in 4s: the disk is full

    TEMPLATE
    /run/renewd/app.env  failed
        config 3s ago, again in 8s: the disk is full
    "#);
    let page = super::super::detail::lines(&status.accounts[0], status.now, Look::plain());
    let page = super::super::page(&page, Look::plain());
    assert!(page.contains("      config 3s ago, again in 4s: the disk is full"), "{page}");
    assert_eq!(serde_json::to_value(&status).unwrap()["templates"][0]["state"], "failed");
}

#[test]
fn where_the_agent_cannot_listen_stands_above_the_table_or_below_it_and_is_not_well() {
    let mut status = status_of(vec![account("messaging", "bizppurio")]);
    status.places = vec![PlaceStatus {
        name: "agent.listen".to_owned(),
        address: "127.0.0.1:9478".to_owned(),
        since: at(-72),
        error: error(ErrorClass::Config, "Address already in use (os error 98)", 11),
        next: at(4),
        meanwhile: Some("127.0.0.1:9000".to_owned()),
    }];
    insta::assert_snapshot!(picture(&status, terminal(80)), @r"
    renewd 0.1.0 · /etc/renewd/renewd.yaml · generation 3 · loaded 2h ago
    ● 1 fresh
    ▲ agent.listen cannot be had at 127.0.0.1:9478, for 1m 12s, again in 4s: Address
      already in use (os error 98); 127.0.0.1:9000 goes on meanwhile

      ACCOUNT    PROVIDER   STATE  LEFT                   NEXT    SINKS
    ● messaging  bizppurio  fresh  ███████▋░░░░ 38m left  in 12m  1/1 written
    ");
    let said = "agent.listen cannot be had at 127.0.0.1:9478, for 1m 12s, again in 4s: Address already in use \
                (os error 98); 127.0.0.1:9000 goes on meanwhile";
    let plain = picture(&status, Look::plain());
    assert!(plain.ends_with(&format!("1/1 written\n\n{said}\n")), "{plain}");
    assert_eq!(super::super::verdict::complaints(&status), [said]);
}

#[test]
fn what_readers_are_left_with_stands_above_why_in_the_table_the_page_and_the_complaints() {
    let left = SinkStatus {
        generation: Some(crate::domain::Generation(6)),
        expires_at: Some(at(-78)),
        ..sink("file:/a", SinkState::Failed, Some(error(ErrorClass::Config, "the disk is full", 3)))
    };
    let status = status_of(vec![AccountStatus { sinks: vec![left], ..account("messaging", "bizppurio") }]);
    let said = picture(&status, Look::plain());
    let (readers, why) =
        (said.find("file:/a: readers hold a token that ended 1m 18s ago"), said.find("failed"));
    assert!(readers.is_some() && readers < why, "{said}");
    let page = super::super::detail::lines(&status.accounts[0], status.now, Look::plain());
    let page = super::super::page(&page, Look::plain());
    assert!(page.contains("      readers hold a token that ended 1m 18s ago"), "{page}");
    let complaints = super::super::verdict::complaints(&status).join(" ");
    assert!(complaints.ends_with("readers hold a token that ended 1m 18s ago"), "{complaints}");
}
