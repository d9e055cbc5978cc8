//! What people see, as pictures.

use super::*;
use crate::cli::status::verdict::complaints;
use crate::domain::{ErrorClass, ErrorInfo, Generation, Timestamp, TokenMeta};
use crate::observe::sample;
use crate::observe::status::{AccountState, SinkState, SinkStatus};

const NOW: i64 = 1_772_359_200;

pub(super) fn at(seconds_from_now: i64) -> Timestamp {
    Timestamp::from_secs(NOW + seconds_from_now)
}

pub(super) fn error(class: ErrorClass, message: &str, seconds_ago: i64) -> ErrorInfo {
    ErrorInfo { class, message: message.to_owned(), at: at(-seconds_ago) }
}

pub(in crate::cli) fn sink(name: &str, state: SinkState, error: Option<ErrorInfo>) -> SinkStatus {
    let written = sample::sink(name, Generation(7), at(-1200));
    match state {
        SinkState::Written => SinkStatus { error, ..written },
        _ => SinkStatus { state, generation: None, written_at: None, error, ..written },
    }
}

/// A fresh one: an hour's token, of which 38 minutes are left.
pub(in crate::cli) fn account(name: &str, provider: &str) -> AccountStatus {
    let token = TokenMeta { generation: Generation(7), issued_at: at(-1320), expires_at: at(2280) };
    let sinks = vec![sink(&format!("file:/run/renewd/{name}.token"), SinkState::Written, None)];
    AccountStatus { sinks, ..sample::account(name, provider, token, at(720)) }
}

pub(in crate::cli) fn status_of(accounts: Vec<AccountStatus>) -> Status {
    sample::status(at(0), accounts)
}

pub(super) fn mixed() -> Status {
    let why = "EGW00103: the appkey is not valid; check `appkey` and `appsecret`";
    let rejected = AccountStatus {
        state: AccountState::Rejected,
        renew_at: Some(at(900)),
        attempt: 3,
        error: Some(error(ErrorClass::Rejected, why, 12)),
        ..account("kis", "kis")
    };
    let pending = AccountStatus {
        state: AccountState::Pending,
        generation: Generation::NONE,
        issued_at: None,
        expires_at: None,
        renew_at: None,
        sinks: vec![sink("file:/run/renewd/new.token", SinkState::Unwritten, None)],
        ..account("new", "bizppurio-rcs")
    };
    let retrying = AccountStatus {
        state: AccountState::Retrying,
        issued_at: Some(at(-1550)),
        expires_at: Some(at(250)),
        renew_at: Some(at(21)),
        attempt: 3,
        error: Some(error(
            ErrorClass::Transient,
            "api.portone.io: 인증 서버 점검 중입니다 (503). 잠시 후 다시 시도해 주세요",
            12,
        )),
        sinks: vec![
            sink("file:/run/renewd/shop.token", SinkState::Written, None),
            sink(
                "file:/run/renewd/shop.json",
                SinkState::Failed,
                Some(error(ErrorClass::Config, "permission denied", 180)),
            ),
        ],
        ..account("shop", "portone")
    };
    let expired = AccountStatus {
        state: AccountState::Expired,
        issued_at: Some(at(-86_580)),
        expires_at: Some(at(-180)),
        renew_at: Some(at(-1)),
        attempt: 9,
        error: Some(error(ErrorClass::Transient, "connect: timed out", 31)),
        sinks: Vec::new(),
        ..account("trade", "kiwoom")
    };
    let template = sample::template("/run/renewd/app.env", Some(at(-1200)));
    let accounts = vec![rejected, account("messaging", "bizppurio"), pending, retrying, expired];
    Status { templates: vec![template], ..status_of(accounts) }
}

pub(super) fn terminal(columns: usize) -> Look {
    Look { width: Some(columns), ..Look::plain() }
}

pub(super) fn picture(status: &Status, look: Look) -> String {
    let lines = overview(status, look);
    for line in &lines {
        assert!(line.width() <= look.width.unwrap_or(usize::MAX), "too wide: {}", line.render(Look::plain()));
    }
    page(&lines, look)
}

#[test]
fn all_fresh() {
    let status = status_of(vec![account("messaging", "bizppurio"), account("shop", "portone")]);
    insta::assert_snapshot!(picture(&status, terminal(80)), @r#"
    renewd 0.1.0 · /etc/renewd/renewd.yaml · generation 3 · loaded 2h ago
    ● 2 fresh

      ACCOUNT    PROVIDER   STATE  LEFT                   NEXT    SINKS
    ● messaging  bizppurio  fresh  ███████▋░░░░ 38m left  in 12m  1/1 written
    ● shop       portone    fresh  ███████▋░░░░ 38m left  in 12m  1/1 written
    "#);
}

#[test]
fn mixed_states_in_120_columns() {
    insta::assert_snapshot!(picture(&mixed(), terminal(120)), @r#"
    renewd 0.1.0 · /etc/renewd/renewd.yaml · generation 3 · loaded 2h ago
    ○ 1 pending   ● 1 fresh   ▲ 1 retrying   ✗ 1 rejected   ✗ 1 expired

      ACCOUNT    PROVIDER       STATE     LEFT                       NEXT        SINKS
    ✗ kis        kis            rejected  ███████▋░░░░ 38m left      in 15m      1/1 written
      └ rejected 12s ago, attempt 3: EGW00103: the appkey is not valid; check `appkey` and `appsecret`
    ● messaging  bizppurio      fresh     ███████▋░░░░ 38m left      in 12m      1/1 written
    ○ new        bizppurio-rcs  pending   ░░░░░░░░░░░░ no token      asking now  0/1 written
    ▲ shop       portone        retrying  █▊░░░░░░░░░░ 4m 10s left   in 21s      1/2 written
      └ transient 12s ago, attempt 3: api.portone.io: 인증 서버 점검 중입니다 (503). 잠시 후 다시 시도해 주세요
      └ file:/run/renewd/shop.json failed 3m ago (config): permission denied
    ✗ trade      kiwoom         expired   ░░░░░░░░░░░░ ended 3m ago  due now     none
      └ transient 31s ago, attempt 9: connect: timed out

      TEMPLATE
    ✓ /run/renewd/app.env  written    20m ago
    "#);
}

#[test]
fn mixed_states_in_80_columns() {
    insta::assert_snapshot!(picture(&mixed(), terminal(80)), @r#"
    renewd 0.1.0 · /etc/renewd/renewd.yaml · generation 3 · loaded 2h ago
    ○ 1 pending   ● 1 fresh   ▲ 1 retrying   ✗ 1 rejected   ✗ 1 expired

      ACCOUNT    PROVIDER       STATE     LEFT                NEXT        SINKS
    ✗ kis        kis            rejected  ███▎░ 38m left      in 15m      1/1
      └ rejected 12s ago, attempt 3: EGW00103: the appkey is not valid; check
        `appkey` and `appsecret`
    ● messaging  bizppurio      fresh     ███▎░ 38m left      in 12m      1/1
    ○ new        bizppurio-rcs  pending   ░░░░░ no token      asking now  0/1
    ▲ shop       portone        retrying  ▊░░░░ 4m 10s left   in 21s      1/2
      └ transient 12s ago, attempt 3: api.portone.io: 인증 서버 점검 중입니다 (503).
        잠시 후 다시 시도해 주세요
      └ file:/run/renewd/shop.json failed 3m ago (config): permission denied
    ✗ trade      kiwoom         expired   ░░░░░ ended 3m ago  due now     none
      └ transient 31s ago, attempt 9: connect: timed out

      TEMPLATE
    ✓ /run/renewd/app.env  written    20m ago
    "#);
}

#[test]
fn mixed_states_in_50_columns() {
    insta::assert_snapshot!(picture(&mixed(), terminal(50)), @r#"
    renewd 0.1.0 · /etc/renewd/renewd.yaml
    generation 3 · loaded 2h ago
    ○ 1 pending   ● 1 fresh   ▲ 1 retrying
    ✗ 1 rejected   ✗ 1 expired

      ACCOUNT    STATE     LEFT                SINKS
    ✗ kis        rejected  ███▎░ 38m left      1/1
      └ rejected 12s ago, attempt 3: EGW00103: the
        appkey is not valid; check `appkey` and
        `appsecret`
    ● messaging  fresh     ███▎░ 38m left      1/1
    ○ new        pending   ░░░░░ no token      0/1
    ▲ shop       retrying  ▊░░░░ 4m 10s left   1/2
      └ transient 12s ago, attempt 3: api.portone.io:
        인증 서버 점검 중입니다 (503). 잠시 후 다시
        시도해 주세요
      └ file:/run/renewd/shop.json failed 3m ago
        (config): permission denied
    ✗ trade      expired   ░░░░░ ended 3m ago  none
      └ transient 31s ago, attempt 9: connect: timed
        out

      TEMPLATE
    ✓ /run/renewd/app.env  written    20m ago
    "#);
}

#[test]
fn mixed_states_without_utf8() {
    insta::assert_snapshot!(picture(&mixed(), Look { unicode: false, ..terminal(80) }), @r#"
    renewd 0.1.0 - /etc/renewd/renewd.yaml - generation 3 - loaded 2h ago
    o 1 pending   * 1 fresh   ! 1 retrying   x 1 rejected   x 1 expired

      ACCOUNT    PROVIDER       STATE     LEFT                NEXT        SINKS
    x kis        kis            rejected  ####. 38m left      in 15m      1/1
      \ rejected 12s ago, attempt 3: EGW00103: the appkey is not valid; check
        `appkey` and `appsecret`
    * messaging  bizppurio      fresh     ####. 38m left      in 12m      1/1
    o new        bizppurio-rcs  pending   ..... no token      asking now  0/1
    ! shop       portone        retrying  #.... 4m 10s left   in 21s      1/2
      \ transient 12s ago, attempt 3: api.portone.io: 인증 서버 점검 중입니다 (503).
        잠시 후 다시 시도해 주세요
      \ file:/run/renewd/shop.json failed 3m ago (config): permission denied
    x trade      kiwoom         expired   ..... ended 3m ago  due now     none
      \ transient 31s ago, attempt 9: connect: timed out

      TEMPLATE
    + /run/renewd/app.env  written    20m ago
    "#);
}

#[test]
fn without_a_terminal_nothing_is_drawn_cut_or_wrapped() {
    insta::assert_snapshot!(picture(&mixed(), Look::plain()), @r#"
    ACCOUNT    PROVIDER       STATE     LEFT          NEXT        SINKS
    kis        kis            rejected  38m left      in 15m      1/1 written
        rejected 12s ago, attempt 3: EGW00103: the appkey is not valid; check `appkey` and `appsecret`
    messaging  bizppurio      fresh     38m left      in 12m      1/1 written
    new        bizppurio-rcs  pending   no token      asking now  0/1 written
    shop       portone        retrying  4m 10s left   in 21s      1/2 written
        transient 12s ago, attempt 3: api.portone.io: 인증 서버 점검 중입니다 (503). 잠시 후 다시 시도해 주세요
        file:/run/renewd/shop.json failed 3m ago (config): permission denied
    trade      kiwoom         expired   ended 3m ago  due now     none
        transient 31s ago, attempt 9: connect: timed out

    TEMPLATE
    /run/renewd/app.env  written    20m ago
    "#);
}

#[test]
fn no_accounts() {
    insta::assert_snapshot!(picture(&status_of(Vec::new()), terminal(80)), @r#"
    renewd 0.1.0 · /etc/renewd/renewd.yaml · generation 3 · loaded 2h ago

    no accounts yet: name one under `accounts:` in the configuration
    "#);
}

#[test]
fn long_names_are_cut_where_the_terminal_is_narrow() {
    let long = account("the-messaging-account-of-the-marketing-department", "oauth2-client-credentials");
    let status = status_of(vec![long, account("kis", "kis")]);
    insta::assert_snapshot!(picture(&status, terminal(80)), @r#"
    renewd 0.1.0 · /etc/renewd/renewd.yaml · generation 3 · loaded 2h ago
    ● 2 fresh

      ACCOUNT                          STATE  LEFT               NEXT    SINKS
    ● the-messaging-account-of-the-m…  fresh  █████▏░░ 38m left  in 12m  1/1 written
    ● kis                              fresh  █████▏░░ 38m left  in 12m  1/1 written
    "#);
}

#[test]
fn escape_sequences_in_an_error_stay_text() {
    let hostile = "\x1b[2J\x1b]0;owned\x07bye\r\nfresh \u{202e}gnp\u{9b}0m";
    let status = status_of(vec![AccountStatus {
        state: AccountState::Retrying,
        error: Some(error(ErrorClass::Malformed, hostile, 5)),
        sinks: vec![sink(
            "file:/run/\x1b[1m",
            SinkState::Failed,
            Some(error(ErrorClass::Config, hostile, 5)),
        )],
        ..account("shop", "por\x1btone")
    }]);
    let coloured = picture(&status, Look { colour: true, ..terminal(100) });
    assert!(coloured.split('\x1b').skip(1).all(|rest| {
        rest.starts_with('[')
            && rest[1..]
                .split_once('m')
                .is_some_and(|(code, _)| code.bytes().all(|byte| byte.is_ascii_digit()))
    }));
    insta::assert_snapshot!(picture(&status, terminal(100)), @r#"
    renewd 0.1.0 · /etc/renewd/renewd.yaml · generation 3 · loaded 2h ago
    ▲ 1 retrying

      ACCOUNT  PROVIDER     STATE     LEFT                   NEXT    SINKS
    ▲ shop     por\x1btone  retrying  ███████▋░░░░ 38m left  in 12m  0/1 written
      └ malformed 5s ago: \x1b[2J\x1b]0;owned\x07bye  fresh gnp\x9b0m
      └ file:/run/\x1b[1m failed 5s ago (config): \x1b[2J\x1b]0;owned\x07bye  fresh gnp\x9b0m
    "#);
}

#[test]
fn a_broken_configuration_stands_above_the_table() {
    let mut status = status_of(vec![account("messaging", "bizppurio")]);
    let words = "/etc/renewd/renewd.yaml:7:5: unknown key `provder`\n  7 |     provder: bizppurio\n    |     ^\n  hint: did you mean `provider`?";
    status.config.error = Some(words.to_owned());
    insta::assert_snapshot!(picture(&status, terminal(80)), @r#"
    renewd 0.1.0 · /etc/renewd/renewd.yaml · generation 3 · loaded 2h ago
    ▲ the file as it is now is refused; generation 3 goes on:
        /etc/renewd/renewd.yaml:7:5: unknown key `provder`
          7 |     provder: bizppurio
            |     ^
          hint: did you mean `provider`?
    ● 1 fresh

      ACCOUNT    PROVIDER   STATE  LEFT                   NEXT    SINKS
    ● messaging  bizppurio  fresh  ███████▋░░░░ 38m left  in 12m  1/1 written
    "#);
}

#[test]
fn one_account_in_detail() {
    let status = mixed();
    let look = terminal(72);
    insta::assert_snapshot!(page(&detail::lines(&status.accounts[3], status.now, look), look), @r#"
    ▲ shop  retrying
      provider    portone
      generation  7
      life        ███▍░░░░░░░░░░░░░░░░░░░░ 4m 10s left of 30m
      issued      2026-03-01T09:34:10Z (25m ago)
      expires     2026-03-01T10:04:10Z (in 4m 10s)
      renewal     2026-03-01T10:00:21Z (in 21s)
      retries     3 failed attempts since the last success
      error       transient, 12s ago
                  api.portone.io: 인증 서버 점검 중입니다 (503). 잠시 후
                  다시 시도해 주세요

    SINKS
      ✓ written  file:/run/renewd/shop.token
          holds generation 7, written 2026-03-01T09:40:00Z (20m ago)
      ✗ failed  file:/run/renewd/shop.json
          config 3m ago: permission denied
    "#);
}

#[test]
fn the_reasons_of_check_name_all_that_is_not_well() {
    let mut status = mixed();
    status.config.error = Some("/etc/renewd/renewd.yaml:7:5: unknown key `provder`".to_owned());
    status.templates[0].state = SinkState::Unwritten;
    insta::assert_snapshot!(complaints(&status).join("\n"), @r#"
    configuration: the file as it is now is refused: /etc/renewd/renewd.yaml:7:5: unknown key `provder`
    kis is rejected: EGW00103: the appkey is not valid; check `appkey` and `appsecret` (rejected, 12s ago)
    new is pending: the provider is being asked
    new: file:/run/renewd/new.token is not yet written
    shop is retrying: api.portone.io: 인증 서버 점검 중입니다 (503). 잠시 후 다시 시도해 주세요 (transient, 12s ago)
    shop: file:/run/renewd/shop.json failed: permission denied (config, 3m ago)
    trade is expired: connect: timed out (transient, 31s ago)
    /run/renewd/app.env is not yet written
    "#);
}
