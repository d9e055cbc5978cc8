use super::*;
use crate::core::{HookView, TargetId};
use crate::domain::{
    ErrorClass, ErrorInfo, Generation, HookState, Lack, Timestamp, TokenMeta, Waiting, WaitsFor,
};
use crate::observe::sample;

const NOW: Now = Now { wall: Timestamp::from_millis_const(1_700_000_000_000), boot: BootInstant(90_000_000) };

#[test]
fn the_margin_follows_the_promise() {
    let cases = [
        (5, 2.5, 1.25),
        (60, 30.0, 15.0),
        (600, 200.0, 50.0),
        (3_600, 1_200.0, 300.0),
        (3_600, 60.0, 30.0),
        (240, 80.0, 30.0),
        (86_400, 3_600.0, 600.0),
        (86_400, 600.0, 300.0),
    ];
    for (life, lead, wanted) in cases {
        let margin = margin(Duration::from_secs(life), Duration::from_secs_f64(lead));
        assert_eq!(margin.as_secs_f64(), wanted, "{life} {lead}");
    }
}

#[test]
fn a_token_that_lives_long_enough_and_is_written_is_ready() {
    World::new().expect(&[]);
}

#[test]
fn an_account_without_a_token_is_not_ready() {
    let mut world = World::new();
    (world.token, world.left) = (None, 0);
    world.expect(&["no token yet"]);
    world.asking = true;
    world.expect(&["no token yet: the provider is being asked"]);
    world.error = Some(error("refused"));
    world.expect(&["no token yet: transient: refused"]);
}

#[test]
fn an_expired_token_is_not_ready() {
    let mut world = World::new();
    (world.left, world.age) = (0, 3_600);
    world.expect(&["the token expired at 2023-11-14T22:13:20Z"]);
}

#[test]
fn the_reason_says_what_an_account_waits_for() {
    let mut world = World::new();
    (world.left, world.age, world.error) = (0, 3_600, Some(error("HTTP 503")));
    let host = Some("api.example.com:443".to_owned());
    world.waiting = Some(Waiting { what: WaitsFor::Host, until: Some(NOW.wall), host });
    let expired = "the token expired at 2023-11-14T22:13:20Z: transient: HTTP 503; it waits";
    let why = "because its host api.example.com:443 does not answer as it should";
    world.expect(&[&format!("{expired} until 2023-11-14T22:13:20Z, {why}")]);
    world.waiting = Some(Waiting { what: WaitsFor::MinInterval, until: None, host: None });
    world.expect(&[&format!("{expired}, because its min_interval is not over")]);
    world.left = 3_000;
    world.expect(&[]);
}

#[test]
fn readiness_ends_with_the_last_stretch_of_the_life_whatever_the_state_of_the_renewal() {
    let mut world = World::new();
    world.error = Some(error("HTTP 503"));
    world.left = 301;
    world.expect(&[]);
    world.left = 300;
    world.expect(&["the token ends in 5m and is not renewed: transient: HTTP 503"]);
    world.error = None;
    world.expect(&["the token ends in 5m and is not renewed"]);
}

#[test]
fn a_sink_that_fails_or_was_never_written_is_not_ready() {
    let mut world = World::new();
    (world.sink, world.held) = (SinkState::Unwritten, None);
    world.expect(&["file:/a is not written yet"]);
    (world.sink, world.sink_error) = (SinkState::Failed, Some(error("disk full")));
    world.expect(&["file:/a cannot be written: disk full"]);
}

#[test]
fn a_sink_that_was_removed_as_its_token_has_ended_is_said_to_be() {
    let mut world = World::new();
    (world.sink, world.held, world.removed) = (SinkState::Unwritten, None, true);
    (world.left, world.age) = (0, 3_600);
    world
        .expect(&["the token expired at 2023-11-14T22:13:20Z", "file:/a is removed, as the token has ended"]);
}

#[test]
fn a_new_token_on_its_way_to_a_sink_that_holds_the_one_before_is_excused_for_five_seconds() {
    for (age, reasons) in
        [(0, &[][..]), (5, &[]), (6, &["file:/a is not written yet"]), (-60, &["file:/a is not written yet"])]
    {
        let mut world = World::new();
        (world.sink, world.age) = (SinkState::Unwritten, age);
        world.expect(reasons);
    }
}

#[test]
fn without_a_token_an_unwritten_sink_is_not_said_again() {
    let mut world = World::new();
    (world.token, world.left, world.sink, world.held) = (None, 0, SinkState::Unwritten, None);
    world.expect(&["no token yet"]);
}

#[test]
fn the_agent_is_ready_when_all_accounts_are_and_a_configuration_is_loaded() {
    assert!(Readiness::of(std::iter::empty(), std::iter::empty(), true, NOW).ready);
    let none = Readiness::of(std::iter::empty(), std::iter::empty(), false, NOW);
    assert_eq!(
        serde_json::to_string(&none).unwrap(),
        r#"{"ready":false,"reasons":[{"reason":"no configuration has been loaded yet"}]}"#
    );
    let mut bad = World::new();
    (bad.left, bad.age) = (0, 3_600);
    let (good, name, target) = (World::new(), AccountId::new("a").unwrap(), TargetId::from("file:/a"));
    let both = Readiness::of(
        [good.view(&name, &target), bad.view(&name, &target)].into_iter(),
        std::iter::empty(),
        true,
        NOW,
    );
    assert_eq!(
        serde_json::to_string(&both).unwrap(),
        r#"{"ready":false,"reasons":[{"account":"a","reason":"the token expired at 2023-11-14T22:13:20Z"}]}"#
    );
}

#[test]
fn what_is_not_well_with_the_agent_itself_is_a_warning_and_no_reason() {
    let warnings = ["the file has errors", "agent.listen cannot be had"].map(str::to_owned);
    let ready = Readiness::of(std::iter::empty(), std::iter::empty(), true, NOW);
    assert_eq!(
        serde_json::to_string(&ready.warned(warnings.into_iter())).unwrap(),
        r#"{"ready":true,"reasons":[],"warnings":[{"reason":"the file has errors"},{"reason":"agent.listen cannot be had"}]}"#
    );
}

#[test]
fn liveness_ends_when_the_loop_has_not_turned_for_a_minute() {
    let turned = BootInstant(1_000_000);
    assert!(Liveness::of(turned, turned).alive);
    assert!(Liveness::of(turned, turned.plus(Duration::from_millis(59_999))).alive);
    let stalled = Liveness::of(turned, turned.plus(Duration::from_secs(75)));
    assert_eq!(
        serde_json::to_string(&stalled).unwrap(),
        r#"{"alive":false,"reason":"the scheduler has not turned for 1m 15s"}"#
    );
}

/// An account with a token of an hour (lead 20 min) and one sink.
struct World {
    token: Option<i64>,
    /// Seconds since the issue by the wall clock.
    age: i64,
    /// Seconds.
    left: u64,
    asking: bool,
    error: Option<ErrorInfo>,
    sink: SinkState,
    held: Option<Generation>,
    sink_error: Option<ErrorInfo>,
    verifying: bool,
    unverified: Option<ErrorInfo>,
    slow: bool,
    removed: bool,
    waiting: Option<Waiting>,
}

impl World {
    fn new() -> Self {
        Self {
            token: Some(3_600),
            age: 0,
            left: 3_000,
            asking: false,
            error: None,
            sink: SinkState::Written,
            held: Some(Generation(6)),
            sink_error: None,
            verifying: false,
            unverified: None,
            slow: false,
            removed: false,
            waiting: None,
        }
    }

    fn view<'a>(&'a self, name: &'a AccountId, target: &'a TargetId) -> AccountView<'a> {
        let issued_at = Timestamp::from_millis(NOW.wall.as_millis() - self.age * 1000);
        let token = self.token.map(|life| TokenMeta {
            generation: Generation(7),
            issued_at,
            expires_at: Timestamp::from_millis(issued_at.as_millis() + life * 1000),
        });
        AccountView {
            token,
            alive: self.left > 0,
            waiting: self.waiting.clone(),
            asking: self.asking,
            verifying: self.verifying,
            unverified: self.unverified.as_ref(),
            error: self.error.as_ref(),
            left: Duration::from_secs(self.left),
            targets: vec![TargetView {
                generation: self.held,
                error: self.sink_error.as_ref(),
                slow_since: self.slow.then_some(NOW.wall),
                removed: self.removed,
                ..sample::target_view(target, self.sink)
            }],
            hooks: vec![HookView {
                id: 0,
                state: HookState::Failed,
                error: self.sink_error.as_ref(),
                next: None,
                running_since: None,
            }],
            ..sample::account_view(name)
        }
    }

    #[track_caller]
    fn expect(&self, reasons: &[&str]) {
        let (name, target) = (AccountId::new("a").unwrap(), TargetId::from("file:/a"));
        let readiness =
            Readiness::of(std::iter::once(self.view(&name, &target)), std::iter::empty(), true, NOW);
        let said: Vec<&str> = readiness.reasons.iter().map(|reason| reason.reason.as_str()).collect();
        assert_eq!(said, reasons);
        assert_eq!(readiness.ready, reasons.is_empty());
    }
}

fn error(message: &str) -> ErrorInfo {
    ErrorInfo { class: ErrorClass::Transient, message: message.to_owned(), at: NOW.wall }
}

#[test]
fn a_template_that_is_not_there_or_cannot_be_written_is_a_reason() {
    let (id, members): (TargetId, _) = ("template:/run/app.env".into(), [AccountId::new("a").unwrap()]);
    let (failed, held) = (error("disk full"), [Generation(1)]);
    let view = |state, error, generations| TemplateView {
        id: &id,
        state,
        written_at: None,
        error,
        members: &members,
        generations,
        slow_since: None,
        next: None,
        waits_for: Vec::new(),
        held: None,
        hooks: Vec::new(),
    };
    let reasons = |view| {
        let readiness = Readiness::of(std::iter::empty(), std::iter::once(view), true, NOW);
        readiness.reasons.into_iter().map(|reason| reason.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(view(SinkState::Written, None, Some(&held))), [""; 0]);
    assert_eq!(
        reasons(view(SinkState::Unwritten, None, Some(&held))),
        [""; 0],
        "late is for an account's sake"
    );
    assert_eq!(reasons(view(SinkState::Unwritten, None, None)), ["template:/run/app.env is not written yet"]);
    let lacking = |reason| Awaited { account: members[0].clone(), reason };
    let waits_for = vec![lacking(Lack::NoToken), lacking(Lack::Ended)];
    let waiting = TemplateView { waits_for, ..view(SinkState::Unwritten, None, None) };
    let words =
        "template:/run/app.env is not written yet: waits for `a`: no token yet, for `a`: its token has ended";
    assert_eq!(reasons(waiting), [words]);
    let words = ["template:/run/app.env cannot be written: disk full"];
    assert_eq!(reasons(view(SinkState::Failed, Some(&failed), Some(&held))), words);
}

#[test]
fn a_token_that_is_not_verified_is_a_warning_and_no_reason() {
    let (name, target) = (AccountId::new("a").unwrap(), TargetId::from("file:/a"));
    let of = |world: &World| {
        Readiness::of(std::iter::once(world.view(&name, &target)), std::iter::empty(), true, NOW)
    };
    let mut world = World::new();
    assert_eq!(serde_json::to_string(&of(&world)).unwrap(), r#"{"ready":true,"reasons":[]}"#);
    world.unverified = Some(error("`verify.url` answers HTTP 401"));
    insta::assert_snapshot!(serde_json::to_string(&of(&world)).unwrap(), @r#"{"ready":true,"reasons":[],"warnings":[{"account":"a","reason":"the token is not verified: `verify.url` answers HTTP 401"}]}"#);
}

#[test]
fn a_verification_and_a_write_that_take_long_are_told_by_their_names() {
    let mut world = World::new();
    (world.token, world.left, world.asking, world.verifying) = (None, 0, true, true);
    (world.sink, world.held) = (SinkState::Unwritten, None);
    world.expect(&["no token yet: the new token is being verified"]);
    let mut world = World::new();
    (world.sink, world.held, world.slow) = (SinkState::Unwritten, None, true);
    world.expect(&["file:/a is being written and does not come to an end"]);
}
