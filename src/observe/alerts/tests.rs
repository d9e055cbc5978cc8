//! Who is told what, and how often.

use super::*;
use crate::core::{AccountView, HeldView, HookView, SetId, TargetId, TargetView};
use crate::domain::{
    AccountId, AccountState, ErrorClass, ErrorInfo, Generation, HookState, SinkState, TokenMeta,
};
use crate::observe::sample;

use super::trouble::SINK_PATIENCE;

const SECOND: Duration = Duration::from_secs(1);

/// Alerts with a clock, and what is wrong by name.
struct World {
    alerts: Alerts,
    now: Now,
    wrong: BTreeMap<String, Vec<(Duration, AlertLevel)>>,
    gone: BTreeSet<String>,
    class: ErrorClass,
}

fn all() -> BTreeSet<AlertLevel> {
    [AlertLevel::Warn, AlertLevel::Critical, AlertLevel::Recovered].into()
}

fn account(name: &str) -> Subject {
    Subject::Account(AccountId::new(name).unwrap())
}

impl World {
    fn new(tellers: &[BTreeSet<AlertLevel>]) -> Self {
        let mut alerts = Alerts::default();
        alerts.tell(tellers.iter().map(|at| (at.clone(), None)));
        let now = Now { wall: Timestamp::from_secs(1_700_000_000), boot: BootInstant(1_000_000) };
        Self { alerts, now, wrong: BTreeMap::new(), gone: BTreeSet::new(), class: ErrorClass::Transient }
    }

    fn wrong(&mut self, name: &str, level: AlertLevel) {
        self.wrong.insert(name.to_owned(), vec![(Duration::ZERO, level)]);
    }

    fn well(&mut self, name: &str) {
        self.wrong.remove(name);
    }

    fn look(&mut self) -> Vec<(usize, Message)> {
        let troubles = self.wrong.iter().map(|(name, levels)| Trouble {
            subject: account(name),
            levels: levels.clone(),
            facts: Facts { class: Some(self.class), ..Facts::well("fails") },
        });
        let gone = &self.gone;
        let well = |subject: &Subject| (!gone.contains(subject.name())).then(|| Facts::well("is well"));
        self.alerts.look(troubles, well, self.now)
    }

    /// Each second of that time: when something was sent, to whom, and what of whom. Each message is taken or not.
    fn after(&mut self, seconds: u64, taken: bool) -> Vec<String> {
        let mut said = Vec::new();
        for second in 0..seconds {
            for (place, message) in self.look() {
                let of = |item: &Item| format!("{} {}", item.level.as_str(), item.subject.name());
                let items: Vec<String> = message.items.iter().map(of).collect();
                said.push(format!("{second}s to {place}: {}", items.join(", ")));
                self.alerts.ended(place, taken, self.now.boot);
            }
            self.now = Now { wall: self.now.wall.plus(SECOND), boot: self.now.boot.plus(SECOND) };
        }
        said
    }
}

#[test]
fn each_trouble_is_told_once_when_it_begins_gets_worse_and_ends() {
    let mut world = World::new(&[all()]);
    assert_eq!(world.after(60, true), [""; 0]);
    world.wrong("a", AlertLevel::Warn);
    assert_eq!(world.after(3600, true), ["2s to 0: warn a"]);
    world.wrong("a", AlertLevel::Critical);
    assert_eq!(world.after(3600, true), ["2s to 0: critical a"]);
    world.wrong("a", AlertLevel::Warn);
    assert_eq!(world.after(3600, true), [""; 0], "less bad is not over");
    world.well("a");
    assert_eq!(world.after(3600, true), ["2s to 0: recovered a"]);
    world.wrong("a", AlertLevel::Critical);
    assert_eq!(world.after(3600, true), ["2s to 0: critical a"], "another time");
}

#[test]
fn what_is_over_before_it_was_told_is_never_told() {
    let mut world = World::new(&[all()]);
    world.wrong("a", AlertLevel::Critical);
    assert_eq!(world.after(2, true), [""; 0]);
    world.well("a");
    assert_eq!(world.after(60, true), [""; 0]);
}

#[test]
fn what_must_last_is_told_once_it_has() {
    let mut world = World::new(&[all()]);
    let levels =
        vec![(Duration::from_secs(60), AlertLevel::Warn), (Duration::from_secs(300), AlertLevel::Critical)];
    world.wrong.insert("a".to_owned(), levels);
    assert_eq!(world.after(600, true), ["62s to 0: warn a", "302s to 0: critical a"]);
    world.wrong.insert("a".to_owned(), Vec::new());
    assert_eq!(world.after(600, true), [""; 0], "not bad any more, but not over");
    world.well("a");
    assert_eq!(world.after(600, true), ["2s to 0: recovered a"]);
}

#[test]
fn a_thousand_accounts_that_fail_at_once_make_one_message_with_the_worst_first() {
    let mut world = World::new(&[all()]);
    (0..1000).for_each(|number| world.wrong(&format!("a{number:03}"), AlertLevel::Warn));
    world.wrong("z", AlertLevel::Critical);
    let _ = world.look();
    world.now.boot = world.now.boot.plus(GATHERED);
    let [(0, message)] = &world.look()[..] else { panic!("not one message") };
    assert_eq!((message.level, message.items.len()), (AlertLevel::Critical, 1001));
    let document = message.document("web1");
    assert_eq!(document["alerts"].as_array().unwrap().len(), 50);
    assert_eq!((&document["omitted"], &document["alerts"][0]["name"]), (&951.into(), &"z".into()));
    assert!(document.to_string().len() < 32_000, "{}", document.to_string().len());
    let text = message.text("web1");
    assert!(
        text.starts_with(
            "renewd on web1: 1 critical, 1000 warn\n- critical: z: fails; see `renewd status z`\n- warn: a000: fails; see `renewd status a000`\n"
        ),
        "{text}"
    );
    assert!(text.ends_with("\n- and 991 more: `renewd status` has them all"), "{text}");
}

#[test]
fn accounts_that_fail_one_by_one_make_four_messages_a_minute_at_most() {
    let mut world = World::new(&[all()]);
    let mut messages = 0;
    for number in 0..600 {
        world.wrong(&format!("a{number:03}"), AlertLevel::Warn);
        messages += world.after(1, true).len();
    }
    assert!((30..=41).contains(&messages), "{messages} in ten minutes");
}

#[test]
fn each_is_told_what_it_wants_and_of_ends_only_where_it_knows_of_the_beginning() {
    let critical: BTreeSet<AlertLevel> = [AlertLevel::Critical].into();
    let mut world = World::new(&[all(), critical, [AlertLevel::Critical, AlertLevel::Recovered].into()]);
    world.wrong("a", AlertLevel::Warn);
    world.wrong("b", AlertLevel::Critical);
    let said = ["2s to 0: critical b, warn a", "2s to 1: critical b", "2s to 2: critical b"];
    assert_eq!(world.after(60, true), said);
    world.wrong.clear();
    assert_eq!(world.after(60, true), ["2s to 0: recovered a, recovered b", "2s to 2: recovered b"]);
}

#[test]
fn what_is_not_taken_is_tried_again_ever_more_seldom_and_told_as_it_is_by_then() {
    let mut world = World::new(&[all()]);
    world.wrong("a", AlertLevel::Warn);
    let tried = world.after(1200, false);
    assert_eq!(tried[..4], ["2s to 0: warn a", "7s to 0: warn a", "17s to 0: warn a", "37s to 0: warn a"]);
    assert!((7..=12).contains(&tried.len()), "{tried:?}");
    world.wrong("a", AlertLevel::Critical);
    assert_eq!(world.after(400, true).len(), 1);
    // The webhook fails while all becomes well: its end is told once it answers again.
    world.well("a");
    assert!(world.after(60, false).len() > 1);
    let said = world.after(600, true);
    assert!(said.len() == 1 && said[0].ends_with("recovered a"), "{said:?}");
    // Of what came and went while nobody could be told, nothing is told.
    world.wrong("b", AlertLevel::Critical);
    assert!(!world.after(60, false).is_empty());
    world.well("b");
    assert_eq!(world.after(600, true), [""; 0]);
}

#[test]
fn an_account_that_has_left_the_configuration_has_not_recovered() {
    let mut world = World::new(&[all()]);
    world.wrong("a", AlertLevel::Critical);
    world.after(10, true);
    world.well("a");
    world.gone.insert("a".to_owned());
    assert_eq!(world.after(60, true), [""; 0]);
}

#[test]
fn a_reload_keeps_what_those_know_who_stay() {
    let mut world = World::new(&[all()]);
    world.wrong("a", AlertLevel::Warn);
    world.after(10, true);
    world.alerts.tell([(all(), None), (all(), Some(0))]);
    assert_eq!(world.after(60, true), ["2s to 0: warn a"]);
    world.alerts.tell([]);
    assert!(world.alerts.is_idle());
    assert_eq!(world.after(60, true), [""; 0]);
}

#[test]
fn a_message_is_one_line_each_without_what_a_chat_would_take_for_a_mention() {
    let facts = Facts { hint: Some("look\nthere".to_owned()), ..Facts::well("<!channel> \u{1b}[2J & more") };
    let item = Item { subject: account("a"), level: AlertLevel::Warn, since: Timestamp::from_secs(0), facts };
    let message = Message::of(vec![item], Timestamp::from_secs(1_700_000_000));
    insta::assert_snapshot!(message.text("web1"), @r"
    renewd on web1: 1 warn
    - warn: a: ‹!channel›  [2J & more (hint: look there); see `renewd status a`
    ");
    insta::assert_snapshot!(message.document("web1"), @r#"{"event":"alert","text":"renewd on web1: 1 warn\n- warn: a: ‹!channel›  [2J & more (hint: look there); see `renewd status a`","level":"warn","host":"web1","at":"2023-11-14T22:13:20Z","counts":{"warn":1},"alerts":[{"level":"warn","subject":"account","name":"a","message":"‹!channel›  [2J & more","hint":"look there","class":null,"since":"1970-01-01T00:00:00Z","provider":null,"generation":null,"expires_at":null,"next":null}],"omitted":0}"#);
    let names: Vec<&str> = message.variables("web1").iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "RENEWD_ALERT_LEVEL",
            "RENEWD_ALERT_COUNT",
            "RENEWD_ALERT_NAMES",
            "RENEWD_ALERT_TEXT",
            "RENEWD_ALERT_JSON"
        ]
    );
}

/// An account with a token of an hour (lead 20 min) of which so many seconds are left.
struct Account {
    left: Option<u64>,
    error: Option<ErrorInfo>,
    unverified: Option<ErrorInfo>,
    state: AccountState,
    sink: (SinkState, Option<ErrorInfo>, Option<&'static str>),
    /// The sink holds the token before, of which so many seconds are left.
    held: Option<i64>,
}

fn error(class: ErrorClass) -> ErrorInfo {
    ErrorInfo { class, message: "no; hint: do".to_owned(), at: Timestamp::from_secs(1_700_000_000) }
}

impl Account {
    fn new() -> Self {
        let sink = (SinkState::Written, None, None);
        Self { left: Some(3000), error: None, unverified: None, state: AccountState::Fresh, sink, held: None }
    }

    fn troubles(&self) -> Vec<String> {
        let (name, target) = (AccountId::new("a").unwrap(), TargetId::from("file:/a"));
        let issued_at = Timestamp::from_secs(1_700_000_000);
        let expires_at = issued_at.plus(Duration::from_secs(3600));
        let token = self.left.map(|_| TokenMeta { generation: Generation(7), issued_at, expires_at });
        let left = Duration::from_secs(self.left.unwrap_or(0));
        let (state, error, waits_for) = &self.sink;
        let now = expires_at.minus(left);
        let held = |left: i64| HeldView {
            token: TokenMeta {
                generation: Generation(6),
                issued_at: Timestamp::from_secs(now.as_secs() + left - 3600),
                expires_at: Timestamp::from_secs(now.as_secs() + left),
            },
            left: Duration::from_secs(left.max(0).unsigned_abs()),
            lead: Duration::from_secs(1200),
            outdated: true,
        };
        let view = AccountView {
            state: self.state,
            token,
            alive: !left.is_zero(),
            unverified: self.unverified.as_ref(),
            error: self.error.as_ref(),
            left,
            lead: Duration::from_secs(if token.is_some() { 1200 } else { 0 }),
            targets: vec![TargetView {
                error: error.as_ref(),
                waits_for: *waits_for,
                held: self.held.map(held),
                ..sample::target_view(&target, *state)
            }],
            ..sample::account_view(&name)
        };
        let said = |trouble: Trouble| {
            let levels = trouble
                .levels
                .iter()
                .map(|(after, level)| format!("{}s {}", after.as_secs(), level.as_str()));
            let levels: Vec<String> = levels.collect();
            format!("{} [{}] {}", trouble.subject.kind(), levels.join(", "), trouble.facts.message)
        };
        of_account(&view, now).map(said).collect()
    }
}

#[test]
fn how_bad_it_is_goes_by_what_is_left_of_the_lead_and_by_who_can_mend_it() {
    let failing = |left, class, state| Account { left, error: Some(error(class)), state, ..Account::new() };
    let transient = |left| failing(Some(left), ErrorClass::Transient, AccountState::Retrying).troubles();
    assert_eq!(Account::new().troubles(), [""; 0]);
    assert_eq!(transient(1100), ["account [] its renewal fails: no"], "there is time");
    assert_eq!(transient(599), ["account [0s warn] the token ends in 9m 59s, and its renewal fails: no"]);
    assert_eq!(transient(300), ["account [0s critical] the token ends in 5m and is not renewed: no"]);
    let slow = Account { left: Some(300), ..Account::new() };
    assert_eq!(slow.troubles(), ["account [5s critical] the token ends in 5m and is not renewed"]);
    let ended = ["account [0s critical] the token ended at 2023-11-14T23:13:20Z: no"];
    assert_eq!(failing(Some(0), ErrorClass::Transient, AccountState::Expired).troubles(), ended);
    let refused =
        ["account [0s warn] the token is good until 2023-11-14T23:13:20Z and cannot be renewed: no"];
    assert_eq!(failing(Some(3000), ErrorClass::Rejected, AccountState::Rejected).troubles(), refused);
    assert_eq!(failing(Some(3000), ErrorClass::Config, AccountState::Retrying).troubles(), refused);
    let none = |class, state| failing(None, class, state).troubles();
    let first = ["account [60s warn, 300s critical] there is no token yet: no"];
    assert_eq!(none(ErrorClass::Transient, AccountState::Pending), first);
    let refused = ["account [0s warn, 300s critical] there is no token yet: no"];
    assert_eq!(none(ErrorClass::Rejected, AccountState::Rejected), refused);
    let doubtful = Account { unverified: Some(error(ErrorClass::Rejected)), ..Account::new() };
    assert_eq!(doubtful.troubles(), ["account [0s warn] the token is delivered, but not known to work: no"]);
}

#[test]
fn a_sink_must_fail_for_a_while_and_one_that_waits_for_a_server_is_told_of_with_it() {
    let with = |sink| Account { sink, ..Account::new() }.troubles();
    let failed = Some(error(ErrorClass::Config));
    assert_eq!(with((SinkState::Failed, failed.clone(), None)), ["sink [300s warn] cannot be written: no"]);
    assert_eq!(with((SinkState::Failed, failed, Some("vault"))), ["sink [] cannot be written"]);
    assert_eq!(with((SinkState::Unwritten, None, None)), ["sink [] cannot be written"]);
}

#[test]
fn a_sink_whose_readers_are_about_to_be_left_with_an_ended_token_is_critical_whatever_keeps_it() {
    let of = |sink, held| Account { sink, held: Some(held), ..Account::new() }.troubles();
    let failed = Some(error(ErrorClass::Config));
    let alone = (SinkState::Failed, failed.clone(), None);
    let time = "sink [300s warn] readers hold a token that ends in 10m, and the newest cannot be written: no";
    assert_eq!(of(alone.clone(), 601), [time]);
    let near = "sink [300s warn, 0s critical] readers hold a token that ends in 12s, and the newest cannot be written: no";
    assert_eq!(of(alone.clone(), 12), [near]);
    let over = "readers hold a token that ended 1m 18s ago, and the newest cannot be written";
    assert_eq!(of(alone, -78), [format!("sink [300s warn, 0s critical] {over}: no")]);
    let away = of((SinkState::Failed, failed, Some("vault")), -78);
    assert_eq!(away, [format!("sink [0s critical] {over}: no")]);
    let hangs = of((SinkState::Unwritten, None, None), -78);
    assert_eq!(hangs, [format!("sink [5s critical] {over}")]);
    assert_eq!(of((SinkState::Written, None, None), -78), [""; 0]);
}

#[test]
fn a_hook_that_keeps_failing_is_a_warning_after_the_patience_of_a_sink() {
    let (set, failed) = (SetId::Account(AccountId::new("a").unwrap()), error(ErrorClass::Transient));
    let view = |error| HookView { id: 0, state: HookState::Failed, error, next: None, running_since: None };
    let trouble = |lead, error| of_hook(&set, "command:x", &view(error), Duration::from_secs(lead));
    assert_eq!(trouble(1200, None), None);
    let known = trouble(1200, Some(&failed)).unwrap();
    assert_eq!(known.levels, [(SINK_PATIENCE, AlertLevel::Warn)]);
    assert_eq!(trouble(20, Some(&failed)).unwrap().levels, [(Duration::from_secs(10), AlertLevel::Warn)]);
    assert_eq!(known.facts.message, "the hook of a fails, so that nobody is told of the newest token: no");
    let (kind, name, command) = (known.subject.kind(), known.subject.name(), known.subject.command());
    assert_eq!((kind, name, command.as_str()), ("hook", "command:x", "renewd status a"));
}

#[test]
fn another_cause_is_told_once_and_causes_that_take_turns_are_not_told_again() {
    let mut world = World::new(&[all()]);
    world.wrong("a", AlertLevel::Warn);
    assert_eq!(world.after(60, true), ["2s to 0: warn a"]);
    world.class = ErrorClass::Rejected;
    assert_eq!(world.after(3600, true), ["2s to 0: warn a"]);
    world.class = ErrorClass::Transient;
    assert_eq!(world.after(3600, true), [""; 0], "that is known");
    world.wrong("a", AlertLevel::Critical);
    assert_eq!(world.after(60, true), ["2s to 0: critical a"]);
    world.class = ErrorClass::Rejected;
    assert_eq!(world.after(60, true), [""; 0], "also after it got worse");
    world.well("a");
    assert_eq!(world.after(60, true), ["2s to 0: recovered a"]);
    world.wrong("a", AlertLevel::Warn);
    assert_eq!(world.after(60, true), ["2s to 0: warn a"], "another time");
}

#[test]
fn each_line_says_when_it_is_tried_again_and_what_says_more() {
    let at = Timestamp::from_secs(1_700_000_000);
    let facts = Facts { next: Some(at.plus(12 * SECOND)), ..Facts::well("fails") };
    let item = |subject, level, facts| Item { subject, level, since: at, facts };
    let items = vec![
        item(account("a"), AlertLevel::Warn, facts.clone()),
        item(Subject::Config, AlertLevel::Warn, Facts::well("cannot run")),
        item(account("b"), AlertLevel::Recovered, facts),
    ];
    let message = Message::of(items, at);
    let text = "renewd on web1: 2 warn, 1 recovered\n- warn: a: fails; next try in 12s; see `renewd status a`\n\
                - warn: configuration: cannot run; see `renewd check`\n- recovered: b: fails";
    assert_eq!(message.text("web1"), text);
    let hints: Vec<_> = message.document("web1")["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| alert["hint"].clone())
        .collect();
    assert_eq!(hints, ["see `renewd status a`".into(), "see `renewd check`".into(), serde_json::Value::Null]);
}
