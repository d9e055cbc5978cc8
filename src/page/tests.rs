mod contrast;
mod hostile;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::core::plan::tests::plan;
use crate::core::{Effect, Event, Note, Plan, Restored};
use crate::domain::{AccountId, BootInstant, ErrorClass, ErrorInfo, Generation, Now, SinkState, TokenMeta};
use crate::observe::sample;
use crate::observe::status::{AccountState, AccountStatus};

const NOW: i64 = 1_700_000_000;

fn at(offset: i64) -> Timestamp {
    Timestamp::from_secs(NOW + offset)
}

fn error(class: ErrorClass, message: &str) -> ErrorInfo {
    ErrorInfo { class, message: message.to_owned(), at: at(-12) }
}

/// Issued 20 minutes ago for an hour, renewed in 20 minutes.
fn fresh(name: &str) -> AccountStatus {
    let token = TokenMeta { generation: Generation(7), issued_at: at(-1_200), expires_at: at(2_400) };
    sample::account(name, "portone", token, at(1_200))
}

fn retrying(name: &str) -> AccountStatus {
    let failure = error(ErrorClass::Transient, "the host does not answer; hint: look at the network");
    let (renew_at, attempt) = (Some(at(9)), 3);
    AccountStatus { state: AccountState::Retrying, renew_at, attempt, error: Some(failure), ..fresh(name) }
}

fn expired(name: &str) -> AccountStatus {
    let expires_at = Some(at(-180));
    AccountStatus { state: AccountState::Expired, expires_at, ..retrying(name) }
}

fn status(accounts: Vec<AccountStatus>) -> Status {
    sample::status(at(0), accounts)
}

/// Each account has been valid for an hour but for two minutes, and failed before those.
fn page(status: Status) -> Page {
    let mut history = History::default();
    let now = |offset| Now { wall: at(offset), boot: BootInstant(0) };
    let names: Vec<AccountId> = status.accounts.iter().map(|account| account.name.clone()).collect();
    let meta = TokenMeta { generation: Generation(6), issued_at: at(-3_600), expires_at: at(-1_320) };
    let stored = |name: &AccountId| (name.clone(), Restored { token: Some(meta), ..Restored::default() });
    let restored: BTreeMap<_, _> = names.iter().map(stored).collect();
    let accounts = names.iter().map(|name| (name.clone(), plan())).collect();
    let plan = Plan { accounts, templates: Vec::new() };
    let event = Event::Configured { plan, restored, touched: BTreeSet::new(), marks: BTreeMap::new() };
    history.event(&event, now(-3_500));
    for account in names {
        let failing = |message: String| Note::Failing {
            account: account.clone(),
            class: ErrorClass::Transient,
            message,
            next: at(0),
            attempt: 1,
            news: true,
        };
        history.effect(&Effect::Say(failing(String::new())), now(-1_400));
        history.effect(&Effect::Say(failing(String::new())), now(-1_330));
        let (generation, expires_at, renew_at) = (Generation(7), at(2_400), at(1_200));
        let renewed = Note::Renewed { account, generation, expires_at, renew_at, healed: true };
        history.effect(&Effect::Say(renewed), now(-1_200));
    }
    Page { status, history: Arc::new(history) }
}

fn shown(status: Status, query: &str) -> String {
    page(status).render(&Query::parse(query)).html
}

/// The text between the first `from` and the next `to`.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap_or_else(|| panic!("no {from}")) + from.len();
    let length = text[start..].find(to).unwrap_or_else(|| panic!("no {to}"));
    &text[start..start + length]
}

fn sentence(status: Status) -> String {
    let html = shown(status, "");
    let title = between(&html, "<title>", "</title>").to_owned();
    format!("{title} | {}", between(&html, "<h1 id=\"verdict\">", "</p>").replace("</h1></div><p>", " | "))
}

#[test]
fn the_first_sentence_says_whether_all_is_well() {
    let pending = |name| AccountStatus {
        state: AccountState::Pending,
        issued_at: None,
        expires_at: None,
        renew_at: None,
        sinks: Vec::new(),
        ..fresh(name)
    };
    let rejected = |name| AccountStatus { state: AccountState::Rejected, ..retrying(name) };
    let mut undelivered = fresh("a");
    undelivered.sinks[0].state = SinkState::Failed;
    let mut broken = status(vec![fresh("a"), fresh("b")]);
    broken.config.error = Some("a.yaml:1:1: no".to_owned());
    let said = [
        status(Vec::new()),
        status(vec![fresh("a")]),
        status(vec![fresh("a"), fresh("b")]),
        status(vec![pending("a"), fresh("b"), fresh("c")]),
        status(vec![pending("a"), pending("b")]),
        status(vec![retrying("a"), fresh("b")]),
        status(vec![undelivered, fresh("b")]),
        status(vec![rejected("a"), fresh("b")]),
        status(vec![expired("a"), retrying("b"), fresh("c")]),
        status(vec![expired("a")]),
        broken,
    ];
    insta::assert_snapshot!(said.map(sentence).join("\n"), @r"
    All well – renewd | All is well: no accounts are configured | They stand under `accounts:` in the configuration.
    All well – renewd | All is well | It is fresh; every sink is written.
    All well – renewd | All is well | All 2 accounts are fresh; every sink is written.
    Starting – renewd | 1 of 3 accounts has no token yet | 2 of 3 accounts are fresh; every sink is written.
    Starting – renewd | All 2 accounts have no token yet | 0 of 2 accounts are fresh.
    1 failing – renewd | Every token is valid, but 1 thing needs attention | 1 of 2 accounts is fresh; every sink is written.
    1 failing – renewd | Every token is valid, but 1 thing needs attention | All 2 accounts are fresh; 1 of 2 sinks not written.
    1 failing – renewd | Every token is valid, but 1 account needs attention now | 1 of 2 accounts is fresh; every sink is written.
    2 failing – renewd | 1 of 3 accounts has no valid token | 1 of 3 accounts is fresh; 1 of 3 sinks holds a token that has ended.
    1 failing – renewd | The one account has no valid token | It is expired; its sink holds the ended token.
    1 failing – renewd | Every token is valid, but 1 thing needs attention | All 2 accounts are fresh; every sink is written. The configuration file is refused.
    ");
}

#[test]
fn readers_who_are_left_with_an_ended_token_are_the_headline_and_come_first() {
    let mut refused = fresh("z");
    refused.generation = Generation(8);
    (refused.sinks[0].state, refused.sinks[0].expires_at) = (SinkState::Failed, Some(at(-78)));
    let html = shown(status(vec![retrying("a"), refused]), "");
    assert_eq!(
        between(&html, "<h1 id=\"verdict\">", "</h1>"),
        "Readers of one account hold a token that has ended"
    );
    assert!(html.contains("readers hold a token that ended 1m 18s ago"), "{html}");
    assert!(html.find("id=\"a-z\"") < html.find("id=\"a-a\""), "{html}");
}

#[test]
fn a_row_has_state_time_next_and_error_in_words_and_the_picture_says_the_same() {
    let html = shown(status(vec![retrying("shop")]), "");
    let row = between(&html, "<li id=\"a-shop\"", "</li>");
    for part in [
        "<h3><a href=\"/?account=shop\">shop</a></h3>",
        "<bdi>portone</bdi>",
        "<use href=\"#i-warn\"/></svg>retrying</p>",
        "<p class=\"l\">40m left</p>",
        "<p class=\"n\">tries again in 9s</p>",
        "<p class=\"k\">delivered</p>",
        "aria-label=\"Timeline: valid without a break for 20m, 40m left, tries again in 9s; in the last 1h: 2 renewals, \
         2 failures, 1 time without a token\"",
        "<rect class=\"v\" y=\"8\" height=\"12\" x=\"0%\" width=\"31.66%\"/>",
        "<rect class=\"g\" y=\"8\" height=\"12\" x=\"31.66%\" width=\"1.66%\"/>",
        "<rect class=\"v\" y=\"8\" height=\"12\" x=\"33.33%\" width=\"16.66%\"/>",
        "<rect class=\"f\" y=\"8\" height=\"12\" x=\"50%\" width=\"33.33%\"/>",
        "<use href=\"#e\" x=\"83.33%\"/>",
        "<use href=\"#r\" x=\"0%\"/>",
        "<rect class=\"x\" y=\"22\" height=\"3\" x=\"30.55%\" width=\"0.97%\"/>",
        "<use href=\"#x\" x=\"31.52%\"><title>failed 2 times (transient), from 23m ago until 22m ago</title></use>",
        "<use href=\"#n\" x=\"50.12%\"/>",
        "<bdi>the host does not answer</bdi> <small>transient, 12s ago, attempt 3</small>",
        "<p class=\"h\">Hint: <bdi>look at the network</bdi></p>",
        "<code>file:/run/renewd/shop.token</code> written 20m ago",
    ] {
        assert!(row.contains(part), "{part} is not in\n{}", row.replace("><", ">\n<"));
    }
}

#[test]
fn the_window_is_as_long_as_tokens_live() {
    let living =
        |secs: i64| AccountStatus { issued_at: Some(at(-1)), expires_at: Some(at(secs - 1)), ..fresh("a") };
    for (life, end) in [(20, "+2m"), (600, "+10m"), (3_600, "+1h"), (86_400, "+6h")] {
        assert!(shown(status(vec![living(life)]), "").contains(&format!(">{end}</text>")), "{life}");
    }
    assert!(shown(status(vec![living(20)]), "span=1d").contains(">+1d</text>"));
}

#[test]
fn accounts_are_found_sorted_grouped_and_paged() {
    let other = |name| AccountStatus { provider: "kiwoom".to_owned(), ..expired(name) };
    let accounts = || vec![fresh("a"), other("b"), retrying("c"), fresh("d-shop")];
    let names = |query: &str| {
        let html = shown(status(accounts()), query);
        let ids = html.split("<li id=\"a-").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        ids.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(""), "b c a d-shop", "the worst first");
    assert_eq!(names("sort=name"), "a b c d-shop");
    assert_eq!(names("sort=next&state=trouble"), "b c");
    assert_eq!(
        (names("q=SHOP"), names("q=kiwoom"), names("q=%2Frun%2Frenewd%2Fa.")),
        ("d-shop".into(), "b".into(), "a".into())
    );
    assert_eq!(names("state=fresh"), "a d-shop");
    assert_eq!(names("group=provider"), "b c a d-shop");
    let grouped = shown(status(accounts()), "group=provider");
    assert!(grouped.contains("<bdi>portone</bdi> <small>3 accounts, 1 needing attention</small>"));
    assert!(shown(status(accounts()), "q=nobody").contains("No account matches"));
    let many: Vec<_> = (0..450).map(|number| fresh(&format!("a{number:04}"))).collect();
    let rows = |query: &str| shown(status(many.clone()), query).matches("<li id=\"a-").count();
    assert_eq!((rows(""), rows("page=3"), rows("page=99"), rows("page=all")), (200, 50, 50, 450));
}

#[test]
fn one_account_is_shown_with_all_that_is_known_and_one_that_has_left_is_not_found() {
    let page = page(status(vec![retrying("shop"), fresh("b")]));
    let one = page.render(&Query::parse("account=shop"));
    for words in [
        "<h2 id=\"account\">shop</h2>",
        "2023-11-14T21:53:20Z",
        "failed 2 times (transient), from 23m ago until 22m ago",
        "Hint: <bdi>look at the network</bdi>",
        "file:/run/renewd/shop.token",
        "1 time without a valid token",
    ] {
        assert!(one.html.contains(words), "{words} is not in {}", one.html);
    }
    assert!(one.found && !one.html.contains("id=\"a-b\""));
    let gone = page.render(&Query::parse("account=gone"));
    assert!(!gone.found && gone.html.contains("No account <bdi>gone</bdi>"));
}

#[test]
fn the_policy_lets_in_this_style_and_this_script_and_nothing_else() {
    let html = shown(status(vec![fresh("a")]), "");
    let policy = headers()[0].1;
    for (tag, rule) in [("style", "style-src"), ("script", "script-src")] {
        let text = between(&html, &format!("<{tag}>"), &format!("</{tag}>"));
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let hash = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest);
        assert!(policy.contains(&format!("{rule} 'sha256-{hash}'")), "{policy}");
    }
    for rule in [
        "default-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "connect-src 'self'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"));
}

#[test]
fn accounts_that_need_attention_come_before_what_is_well() {
    let order = |status: Status| {
        let html = shown(status, "");
        let places = ["id=\"verdict\"", "id=\"c-config\"", "id=\"c-next\"", "id=\"a-a\""];
        let mut found = places.map(|place| (html.find(place).unwrap(), place));
        assert!(places.iter().all(|place| html.matches(place).count() == 1), "each once");
        found.sort();
        found.map(|(_, place)| place.trim_end_matches('"').rsplit('"').next().unwrap().to_owned())
    };
    assert_eq!(order(status(vec![fresh("a")])), ["verdict", "c-config", "c-next", "a-a"]);
    assert_eq!(order(status(vec![expired("a")])), ["verdict", "a-a", "c-config", "c-next"]);
    let mut refused = status(vec![expired("a")]);
    refused.config.error = Some("no".to_owned());
    assert_eq!(order(refused), ["verdict", "c-config", "a-a", "c-next"], "what is wrong stays above");
}

#[test]
fn the_page_needs_nothing_else() {
    for query in ["", "account=a"] {
        let html = shown(status(vec![expired("a")]), query).replace("http://www.w3.org/2000/svg", "");
        for outside in ["http://", "https://", "//cdn", "@import", "url(\"", " src=", "style=\""] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}

#[test]
fn its_landmarks_and_names_are_there_for_those_who_do_not_see_it() {
    for query in ["", "group=provider&page=2", "account=a0001"] {
        let many: Vec<_> = (0..250).map(|number| fresh(&format!("a{number:04}"))).collect();
        let html = shown(status(many), query);
        for part in [
            "<html lang=\"en\">",
            "<main id=\"main\"",
            "<header>",
            "<footer",
            "role=\"search\"",
            "href=\"#main\"",
        ] {
            assert_eq!(html.matches(part).count(), 1, "{part}");
        }
        assert_eq!(html.matches("<h1").count(), 1);
        let ids: Vec<&str> =
            html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "ids are distinct");
        for named in html.split("<label for=\"").skip(1).chain(html.split("aria-labelledby=\"").skip(1)) {
            let id = named.split('"').next().unwrap();
            assert!(ids.contains(&id), "{id}");
        }
        for used in html.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(ids.contains(&used), "{used}");
        }
    }
}

#[test]
fn it_follows_by_itself_unless_it_is_paused_and_the_faster_the_shorter_tokens_live() {
    let refresh = |html: &str| html.contains("<noscript><meta http-equiv=\"refresh\"");
    let hour = shown(status(vec![fresh("a")]), "");
    assert!(refresh(&hour) && hour.contains("data-every=\"5\"") && hour.contains("live=off"));
    let short = AccountStatus { issued_at: Some(at(-1)), expires_at: Some(at(19)), ..fresh("a") };
    assert!(shown(status(vec![short]), "").contains("data-every=\"2\""));
    let paused = shown(status(vec![fresh("a")]), "live=off");
    assert!(!refresh(&paused) && paused.contains("data-every=\"0\"") && paused.contains("Follow again"));
}

#[test]
fn a_thousand_accounts_are_a_page_of_a_bounded_size() {
    let many = |count| (0..count).map(|number| fresh(&format!("account-{number:05}"))).collect::<Vec<_>>();
    let (first, all) = (shown(status(many(1_000)), "").len(), shown(status(many(1_000)), "page=all").len());
    assert!(first < 300 * 1024, "{first} bytes");
    assert!(all < 1_500 * 1024, "{all} bytes");
    let failing: Vec<_> = (0..1_000).map(|number| expired(&format!("account-{number:05}"))).collect();
    let failing = shown(status(failing), "").len();
    assert!(failing < 450 * 1024, "{failing} bytes");
}

/// How fast: `cargo test --release --lib page::tests::how -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures, which only a release build makes true"]
#[expect(clippy::disallowed_methods, reason = "what is measured is time")]
fn how_long_it_takes_to_render() {
    for (count, query) in [(100, ""), (1_000, ""), (1_000, "page=all"), (10_000, ""), (10_000, "page=all")] {
        let page = page(status((0..count).map(|number| retrying(&format!("account-{number:05}"))).collect()));
        let query = Query::parse(query);
        let mut times: Vec<_> = (0..15)
            .map(|_| {
                let begin = std::time::Instant::now();
                let bytes = page.render(&query).html.len();
                (begin.elapsed(), bytes)
            })
            .collect();
        times.sort();
        println!("{count} accounts, {query:?}: {:.1?}, {} KiB", times[7].0, times[7].1 / 1024);
    }
}
