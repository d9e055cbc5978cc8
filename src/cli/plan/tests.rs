use super::*;
use crate::cli::status::tests::{account, sink, status_of};
use crate::config;
use crate::observe::sample::template;
use crate::observe::status::SinkState;
use crate::provider::catalog;
use crate::runtime::Makeup;

fn config(rest: &str) -> Config {
    let text = format!("agent: {{ state_dir: /nonexistent/renewd }}\n{rest}");
    let loaded = config::load_text("/etc/renewd.yaml".as_ref(), &text, &|_| None, catalog::texts());
    loaded.unwrap_or_else(|problems| panic!("{problems}")).config
}

/// An agent that runs `config`.
fn agent(config: &Config) -> Running {
    let accounts = config.accounts.values().map(|one| crate::observe::status::AccountStatus {
        sinks: one.sinks.iter().map(|one| sink(&one.id(), SinkState::Written, None)).collect(),
        ..account(one.name.as_str(), &one.provider.name)
    });
    let mut status = status_of(accounts.collect());
    status.templates =
        config.templates.iter().map(|one| template(&one.path.to_string_lossy(), None)).collect();
    Running { status, makeup: Some(Makeup::of(config, 7)) }
}

fn told(running: &Running, config: &Config) -> String {
    let look = Look::plain();
    let (rows, templates) = (running.accounts(config), running.templates(config));
    let own = templates.iter().map(|step| step.line(0)).chain(running.agent(config));
    let lines = lines(&rows, look).into_iter().chain(own);
    lines.map(|line| line.render(look) + "\n").collect::<String>() + &summary(&rows, &templates)
}

const KIS: &str = "provider: kis, credentials: { appkey: a, appsecret: b }";
const PORTONE: &str = "provider: portone, credentials: { apiSecret: a }";

#[test]
fn without_state_every_account_asks_and_its_sinks_are_written() {
    let sinks = "sinks: [ { file: /run/a }, { kubernetes: { secret: s, namespace: n } } ]";
    let config = config(&format!("accounts:\n  a: {{ {KIS}, {sinks} }}\n  b: {{ {PORTONE} }}\n"));
    let rows = starts(&config, Timestamp::from_secs(0));
    let text: String =
        lines(&rows, Look::plain()).iter().map(|line| line.render(Look::plain()) + "\n").collect();
    insta::assert_snapshot!(text, @r"
    > a  kis      openapi.koreainvestment.com:9443  ask for a token
        > write file:/run/a
        > write kubernetes:n/s
    > b  portone  api.portone.io:443                ask for a token
    ");
    assert_eq!(summary(&rows, &[]), "2 accounts: 2 asked at once, 0 kept");
    let template = "templates: [ { path: /run/x, inline: \"{{ accounts.a.access_token }}\" } ]";
    let composed = self::config(&format!("accounts: {{ a: {{ {KIS} }} }}\n{template}\n"));
    let mut rows_of_one = starts(&composed, Timestamp::from_secs(0));
    let first = |rows: &[Row]| composed_first(&composed, rows).remove(0).words;
    assert_eq!(first(&rows_of_one), "write template:/run/x, made from a");
    rows_of_one[0].fate = Fate::Kept;
    assert_eq!(first(&rows_of_one), "keep template:/run/x, or write it where it differs; made from a");
    let one = [starts(&config, Timestamp::from_secs(0)).remove(0)];
    assert_eq!(summary(&one, &[]), "1 account: 1 asked at once, 0 kept");
}

#[test]
fn a_configuration_that_runs_already_changes_nothing() {
    let text = format!(
        "accounts:\n  a: {{ {KIS}, sinks: [file: /run/a] }}\ntemplates:\n  - {{ path: /run/x, inline: \"{{{{ accounts.a.access_token }}}}\" }}\n"
    );
    insta::assert_snapshot!(told(&agent(&config(&text)), &config(&text)), @r"
    = a  kis  openapi.koreainvestment.com:9443  keep its token
    = keep template:/run/x, made from a
    1 account: 0 asked at once, 1 kept; 1 template: 0 written, 1 kept
    ");
}

#[test]
fn a_reload_says_what_it_changes_of_each_account_and_of_each_sink() {
    let before = config(&format!(
        "accounts:\n\
         \x20 gone: {{ {KIS}, sinks: [ {{ file: {{ path: /run/gone, on_remove: delete }} }}, {{ file: /run/stays }} ] }}\n\
         \x20 moved: {{ {KIS} }}\n\
         \x20 other: {{ {PORTONE}, base_url: \"https://one.example.com\" }}\n\
         \x20 same: {{ {PORTONE}, sinks: [ {{ file: /run/a }}, {{ file: /run/b }}, {{ file: /run/c }}, {{ file: /run/d }} ] }}\n\
         \x20 tuned: {{ {PORTONE} }}\n"
    ));
    let after = config(&format!(
        "accounts:\n\
         \x20 added: {{ {KIS}, sinks: [ {{ file: /run/stays }} ] }}\n\
         \x20 moved: {{ {PORTONE} }}\n\
         \x20 other: {{ {PORTONE}, base_url: \"https://two.example.com\" }}\n\
         \x20 same: {{ {PORTONE}, sinks: [ {{ file: {{ path: /run/a, mode: \"0640\" }} }}, {{ file: {{ path: /run/b, on_remove: delete }} }}, {{ file: /run/c }}, {{ file: /run/e }} ] }}\n\
         \x20 tuned: {{ {PORTONE}, renew: {{ before: 5m }}, verify: {{ url: \"https://api.example.com/me\" }} }}\n"
    ));
    insta::assert_snapshot!(told(&agent(&before), &after), @r"
    + added  kis      openapi.koreainvestment.com:9443  add it and ask for a token
        ~ write file:/run/stays, which was a sink of `gone`
    - gone   kis                                        remove it; its state is kept for 30 days
        - delete file:/run/gone 10 s later (on_remove: delete)
        - hand file:/run/stays over to `added`
    ~ moved  portone  api.portone.io:443                ask anew: its provider was `kis`
    ~ other  portone  two.example.com:443               ask anew: base_url is another
    ~ same   portone  api.portone.io:443                keep its token
        ~ write file:/run/a anew: mode
        ~ keep file:/run/b; change on_remove
        + write file:/run/e
        - leave file:/run/d where it is (on_remove: keep)
    ~ tuned  portone  api.portone.io:443                keep its token; change renew, verify
    5 accounts: 3 asked at once, 0 kept, 2 changed, 1 removed
    ");
}

#[test]
fn a_key_that_owns_the_refresh_token_logs_in_anew_and_keeps_its_token_until_then() {
    let after = config("accounts: { a: { provider: portone, credentials: { apiSecret: b } } }\n");
    let before = config(&format!("accounts: {{ a: {{ {PORTONE} }} }}\n"));
    insta::assert_snapshot!(told(&agent(&before), &after), @r"
    ~ a  portone  api.portone.io:443  keep its token; change credentials.apiSecret; log in at once if credentials.apiSecret is another
    1 account: 0 asked at once, 0 kept, 1 changed
    ");
}

#[test]
fn an_identity_that_comes_from_elsewhere_now_may_be_another() {
    let of = |password: &str, account: &str| {
        config(&format!(
            "accounts: {{ a: {{ provider: bizppurio, credentials: {{ account: {account}, password: {password} }} }} }}\n"
        ))
    };
    let before = agent(&of("x", "one"));
    let row = |after: Config| before.accounts(&after).remove(0).words;
    assert_eq!(row(of("x", "two")), "ask anew: credentials.account is another");
    assert_eq!(row(of("y", "one")), "keep its token; change credentials.password");
    assert_eq!(
        row(of("x", "{ file: /run/secrets/name }")),
        "keep its token; change credentials.account; ask anew if credentials.account is another"
    );
}

#[test]
fn a_reload_says_which_templates_are_written_anew_and_which_go() {
    let template = |path: &str, rest: &str| format!("  - {{ path: {path}, {rest} }}\n");
    let (text, other) =
        ("inline: \"{{ accounts.a.access_token }}\"", "inline: \"x{{ accounts.a.access_token }}\"");
    let of = |templates: &[String]| {
        config(&format!("accounts: {{ a: {{ {KIS} }} }}\ntemplates:\n{}", templates.concat()))
    };
    let before = of(&[
        template("/run/same", text),
        template("/run/text", text),
        template("/run/told", text),
        template("/run/old", &format!("{text}, on_remove: delete")),
    ]);
    let after = of(&[
        template("/run/same", text),
        template("/run/text", &format!("{other}, mode: \"0640\"")),
        template("/run/told", &format!("{text}, on_change: [command: [/bin/true]]")),
        template("/run/new", text),
    ]);
    let mut running = agent(&before);
    insta::assert_snapshot!(told(&running, &after), @r"
    = a  kis  openapi.koreainvestment.com:9443  keep its token
    = keep template:/run/same, made from a
    ~ write template:/run/text anew: mode, text; made from a
    ~ keep template:/run/told; change on_change; made from a
    + write template:/run/new, made from a
    - delete template:/run/old 10 s later (on_remove: delete)
    1 account: 0 asked at once, 1 kept; 4 templates: 2 written, 1 kept, 1 changed, 1 removed
    ");
    running.makeup = None;
    insta::assert_snapshot!(told(&running, &after), @r"
    = a  kis  openapi.koreainvestment.com:9443  keep its token
    = keep template:/run/same, or write it anew where it has changed; made from a
    = keep template:/run/text, or write it anew where it has changed; made from a
    = keep template:/run/told, or write it anew where it has changed; made from a
    + write template:/run/new, made from a
    - leave template:/run/old, or delete it, as its on_remove says
    1 account: 0 asked at once, 1 kept; 4 templates: 1 written, 3 kept, 1 removed
    ");
}

#[test]
fn what_a_reload_takes_of_the_agent_itself_and_what_it_refuses_is_said() {
    let before = config("accounts: {}\n");
    let mut after = before.clone();
    after.agent.listen = None;
    after.agent.log.format = config::model::LogFormat::Json;
    after.agent.state_dir = "/srv/other".into();
    assert!(agent(&before).refuses(&after) && !agent(&before).refuses(&before));
    insta::assert_snapshot!(told(&agent(&before), &after), @r"
    ~ change agent.listen
    = keep agent.log.format, which changes only with a restart
    x refuse all of it: agent.state_dir changes only with a restart
    0 accounts: 0 asked at once, 0 kept
    ");
}

#[test]
fn hooks_are_listed_without_what_may_be_secret() {
    let hooks =
        "[command: [/usr/bin/reload, --key=hunter2], webhook: { url: \"https://h.example.com/hunter2\" }]";
    let config = config(&format!(
        "accounts: {{ a: {{ {KIS}, on_change: {hooks} }} }}\n\
         templates:\n  - {{ path: /run/x, inline: \"{{{{ accounts.a.access_token }}}}\", on_change: [signal: {{ pid_file: /run/p }}] }}\n"
    ));
    let text: String = hooks_of(&config);
    insta::assert_snapshot!(text, @r"
    ! when a changes: run /usr/bin/reload; post to https://h.example.com
    ! when template:/run/x changes: signal HUP to the process of /run/p
    ");
}

fn hooks_of(config: &Config) -> String {
    hooks(config).iter().map(|line| line.render(Look::plain()) + "\n").collect()
}
