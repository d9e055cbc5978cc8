use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::core::{
    Admission, Effect, Engine, Event, FailureMeta, Issue, IssuedMeta, Operation, Plan, Schedule, TargetPlan,
    plan::tests::plan,
};
use crate::domain::{
    AccountId, AccountState, BootInstant, ErrorClass, ErrorInfo, Generation, Now, SinkState, Timestamp,
    TokenMeta,
};
use crate::observe::status::{AccountStatus, SinkStatus, Status};
use crate::observe::{Exchange, Observer, sample};

const SINK: &str = "file:/run/a \"quoted\" \\ sink";

#[test]
fn a_scrape_says_everything_in_the_classic_text_format() {
    insta::assert_snapshot!("scrape", busy().render().unwrap());
}

#[test]
fn promtool_has_no_word_to_say() {
    let promtool = std::env::var("RENEWD_TEST_PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    for scrape in [busy(), Scrape { status: status(Vec::new()), counters: Arc::default() }] {
        let started = Command::new(&promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut check) = started else {
            let named = std::env::var_os("RENEWD_TEST_PROMTOOL").is_some();
            assert!(!named, "RENEWD_TEST_PROMTOOL names `{promtool}`, which cannot be started");
            println!(
                "skipped: promtool_has_no_word_to_say: no promtool in PATH; RENEWD_TEST_PROMTOOL names one"
            );
            return;
        };
        std::io::Write::write_all(&mut check.stdin.take().unwrap(), scrape.render().unwrap().as_bytes())
            .unwrap();
        let said = check.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        assert!(said.status.success() && words.is_empty(), "{words}");
    }
}

#[test]
fn an_account_that_leaves_takes_its_series_along() {
    let mut observer = observed();
    observer.event(&configured(&[]), at(200));
    let scrape = Scrape { status: status(Vec::new()), counters: observer.counters() };
    let text = scrape.render().unwrap();
    for gone in ["account=", "provider=", "sink="] {
        assert!(!text.contains(gone), "{gone}: {text}");
    }
    assert!(text.contains("renewd_renewal_duration_seconds_count 2"), "{text}");
}

#[test]
fn a_reload_that_keeps_an_account_keeps_its_counts() {
    let mut observer = observed();
    let before = observer.counters();
    observer.event(&configured(&["a"]), at(200));
    assert_eq!(observer.counters(), before);
}

#[test]
fn a_scrape_holds_still_while_the_loop_counts_on() {
    let mut observer = observed();
    let held = observer.counters();
    let copy = held.as_ref().clone();
    observer.event(&failed(ErrorClass::Malformed), at(300));
    assert_eq!(*held, copy);
    assert_ne!(*observer.counters(), copy);
}

#[test]
fn what_was_never_sent_is_no_request() {
    let mut observer = Observer::new();
    observer.event(&configured(&["a"]), at(0));
    observer.effect(&issue(Duration::ZERO), at(0));
    let (account, outcome) = (name("a"), Err(ErrorClass::Config));
    let exchange = Exchange {
        account: &account,
        asked: false,
        status: None,
        outcome,
        clock_offset_ms: None,
        warnings: &[],
    };
    observer.exchange(&exchange, at(1));
    observer.event(&failed(ErrorClass::Config), at(1));
    let text = Scrape { status: status(Vec::new()), counters: observer.counters() }.render().unwrap();
    assert!(!text.contains("renewd_provider_requests_total{"), "{text}");
    assert!(text.contains("renewd_renewal_duration_seconds_count 0"), "{text}");
    assert!(
        text.contains(r#"renewd_renewals_total{account="a",provider="test",result="config"} 1"#),
        "{text}"
    );
}

#[test]
fn lateness_is_what_a_request_has_waited_for_its_host() {
    let (mut engine, mut observer) = (Engine::new(7), Observer::new());
    let mut slow = plan();
    (slow.limit.burst, slow.limit.period) = (1, Some(Duration::from_secs(2)));
    let accounts = ["a", "b"].map(|account| (name(account), slow.clone())).into();
    let plan = Plan { accounts, ..Plan::default() };
    let configured = Event::Configured {
        plan,
        restored: BTreeMap::new(),
        touched: BTreeSet::new(),
        marks: BTreeMap::new(),
    };
    for (event, now) in [(configured, at(0)), (Event::Tick, at(1)), (Event::Tick, at(2))] {
        engine.handle(event, now).iter().for_each(|effect| observer.effect(effect, now));
    }
    let text = Scrape { status: status(Vec::new()), counters: observer.counters() }.render().unwrap();
    assert!(text.contains("\nrenewd_renewal_lateness_seconds_sum 2\n"), "{text}");
    assert!(text.contains("\nrenewd_renewal_lateness_seconds_count 2\n"), "{text}");
}

#[test]
fn a_strange_status_makes_no_series_of_its_own() {
    let mut counters = Counters::default();
    for status in [Some(600), Some(999), Some(99)] {
        counters.request(&"test".into(), status, false);
    }
    let text = Scrape { status: status(Vec::new()), counters: Arc::new(counters) }.render().unwrap();
    assert!(text.contains(r#"renewd_provider_requests_total{provider="test",code="other"} 3"#), "{text}");
}

#[test]
fn no_message_of_an_error_gets_into_a_metric() {
    let canary = "canary-5ecr3t";
    let mut observer = observed();
    let failure = FailureMeta::new(ErrorClass::Rejected, format!("refused: {canary}"));
    observer.event(&Event::Failed { account: name("a"), epoch: 9, failure }, at(300));
    let undelivered = Event::Undelivered {
        target: SINK.into(),
        revision: 9,
        message: canary.to_owned(),
        server_away: false,
        class: ErrorClass::Config,
    };
    observer.event(&undelivered, at(300));
    let mut account = account(AccountState::Rejected);
    let error = ErrorInfo { class: ErrorClass::Rejected, message: canary.to_owned(), at: at(300).wall };
    account.error = Some(error.clone());
    account.sinks[0].error = Some(error);
    let mut status = status(vec![account]);
    status.config.error = Some(canary.to_owned());
    let text = Scrape { status, counters: observer.counters() }.render().unwrap();
    assert!(!text.contains(canary), "{text}");
    assert!(text.contains("renewd_config_last_reload_successful 0"), "{text}");
}

#[test]
fn the_table_keeps_to_the_naming_rules() {
    let mut names = BTreeSet::new();
    for metric in DESCRIPTIONS {
        let Description { name, kind, labels, help, .. } = *metric;
        assert!(names.insert(name) && name.starts_with("renewd_"), "{name}");
        assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
        assert_eq!(kind == Kind::Histogram, Counters::default().histogram(metric).is_some(), "{name}");
        assert!(!help.is_empty() && !help.ends_with('.') && !help.contains('\n'), "{name}");
        assert!(labels.iter().all(|label| label.bytes().all(|byte| byte.is_ascii_lowercase())), "{name}");
    }
}

#[test]
fn the_page_of_metrics_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let page = reference_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        #[expect(clippy::disallowed_methods, reason = "a test that rewrites a page of the repository")]
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page, "UPDATE_DOCS=1 writes {path} anew");
}

/// One account that has failed once and succeeded once, with one sink that has too.
fn observed() -> Observer {
    let mut observer = Observer::new();
    observer.event(&configured(&["a"]), at(0));
    let account = name("a");
    let exchange = |status, outcome, clock_offset_ms| Exchange {
        account: &account,
        asked: true,
        status,
        outcome,
        clock_offset_ms,
        warnings: &[],
    };
    observer.effect(&issue(Duration::ZERO), at(100));
    observer.exchange(&exchange(Some(429), Err(ErrorClass::Throttled), None), at(101));
    observer.event(&failed(ErrorClass::Throttled), at(101));
    observer.effect(&issue(Duration::from_millis(700)), at(110));
    observer.exchange(&exchange(Some(200), Ok(()), Some(-2_500)), at(113));
    let token = token();
    let meta =
        IssuedMeta { token, admission: Admission::Promoted, refresh: None, owner: None, unverified: None };
    observer.event(&Event::Issued { account: name("a"), epoch: 1, meta }, at(113));
    let target: Arc<str> = SINK.into();
    for (revision, end) in [
        (
            1,
            Event::Undelivered {
                target: target.clone(),
                revision: 1,
                message: "no".to_owned(),
                server_away: false,
                class: ErrorClass::Config,
            },
        ),
        (
            2,
            Event::Delivered {
                target: target.clone(),
                revision: 2,
                held: Some(vec![token.generation]),
                print: 0,
                written: true,
            },
        ),
    ] {
        let deliver = Effect::Deliver { target: target.clone(), revision };
        observer.effect(&deliver, at(113));
        observer.event(&end, at(115));
    }
    observer
}

fn busy() -> Scrape {
    let mut accounts = vec![account(AccountState::Fresh), pending()];
    let hangs = SinkStatus {
        sink: "file:/mnt/hung".to_owned(),
        state: SinkState::Unwritten,
        written_at: None,
        writing_since: Some(at(120).wall),
        ..accounts[0].sinks[0].clone()
    };
    accounts[0].sinks.push(hangs);
    Scrape { status: status(accounts), counters: observed().counters() }
}

fn configured(accounts: &[&str]) -> Event {
    let target = TargetPlan {
        id: SINK.into(),
        look: 0,
        remove_expired: false,
        delete_on_remove: false,
        server: None,
        compare_every: None,
    };
    let plans = accounts
        .iter()
        .map(|account| (name(account), crate::core::AccountPlan { targets: vec![target.clone()], ..plan() }));
    let plan = Plan { accounts: plans.collect(), ..Plan::default() };
    Event::Configured { plan, restored: BTreeMap::new(), touched: BTreeSet::new(), marks: BTreeMap::new() }
}

fn issue(late: Duration) -> Effect {
    Effect::Issue(Issue {
        account: name("a"),
        epoch: 1,
        operation: Operation::Issue,
        generation: Generation(1),
        timeout: Duration::from_secs(30),
        keep_longer: false,
        late,
        intent: Schedule::default(),
    })
}

fn failed(class: ErrorClass) -> Event {
    Event::Failed { account: name("a"), epoch: 1, failure: FailureMeta::new(class, "no".to_owned()) }
}

fn status(accounts: Vec<AccountStatus>) -> Status {
    let mut status = sample::status(at(200).wall, accounts);
    (status.version, status.config.loaded_at) = ("1.2.3".to_owned(), at(0).wall);
    status
}

fn account(state: AccountState) -> AccountStatus {
    let renew_at = token().expires_at.minus(Duration::from_millis(600_500));
    AccountStatus {
        state,
        sinks: vec![sample::sink(SINK, Generation(1), at(115).wall)],
        ..sample::account("a", "test", token(), renew_at)
    }
}

fn pending() -> AccountStatus {
    AccountStatus {
        name: name("b"),
        generation: Generation::default(),
        issued_at: None,
        expires_at: None,
        renew_at: None,
        sinks: Vec::new(),
        ..account(AccountState::Pending)
    }
}

fn token() -> TokenMeta {
    TokenMeta { generation: Generation(1), issued_at: at(110).wall, expires_at: at(3_710).wall }
}

fn name(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

fn at(secs: i64) -> Now {
    Now {
        wall: Timestamp::from_secs(1_700_000_000 + secs),
        boot: BootInstant(5_000 + secs.unsigned_abs() * 1000),
    }
}
