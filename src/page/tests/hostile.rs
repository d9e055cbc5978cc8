use super::*;
use crate::domain::{HookState, Waiting, WaitsFor};
use crate::observe::status::{HookStatus, PlaceStatus, ServerState, ServerStatus, TemplateStatus};

#[test]
fn what_others_have_written_never_becomes_markup() {
    let hostile = format!(
        "</p><script>alert(1)</script>\" onmouseover=\"x' \u{202e}gnp.exe \u{0}\u{1b}[2J\u{200b}<img src=x onerror=y>{}",
        "<b>".repeat(10 * 1024 / 3)
    );
    let mut account = expired("a");
    account.provider = hostile.clone();
    account.error = Some(error(ErrorClass::Malformed, &format!("{hostile}; hint: {hostile}")));
    account.unverified = Some(error(ErrorClass::Rejected, &hostile));
    account.waiting =
        Some(Waiting { what: WaitsFor::Vendor, until: Some(at(60)), host: Some(hostile.clone()) });
    account.sinks[0].sink = hostile.clone();
    account.sinks[0].error = Some(error(ErrorClass::Transient, &hostile));
    account.sinks[0].state = SinkState::Failed;
    let hook =
        |state| HookStatus { hook: hostile.clone(), state, error: None, next: None, running_since: None };
    let failed =
        HookStatus { error: Some(error(ErrorClass::Transient, &hostile)), ..hook(HookState::Failed) };
    account.hooks = vec![hook(HookState::Told), failed];
    let mut status = status(vec![account, fresh("b")]);
    status.version = hostile.clone();
    status.config.error = Some(hostile.clone());
    status.config.path = hostile.clone().into();
    status.servers = vec![ServerStatus {
        name: hostile.clone(),
        state: ServerState::Away,
        since: at(-60),
        error: error(ErrorClass::Transient, &hostile),
        next: None,
    }];
    status.places = vec![PlaceStatus {
        name: "agent.socket".to_owned(),
        address: hostile.clone(),
        since: at(-60),
        error: error(ErrorClass::Config, &hostile),
        next: at(4),
        meanwhile: Some(hostile.clone()),
    }];
    status.templates = vec![TemplateStatus {
        state: SinkState::Failed,
        error: Some(error(ErrorClass::Config, &hostile)),
        ..sample::template(&hostile, None)
    }];
    let asked: String = url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect();
    let searches = [String::new(), "group=provider".into(), "account=a".into()];
    let reflected = [
        format!("q={asked}"),
        format!("account={asked}"),
        format!("state={asked}&sort={asked}&page={asked}"),
    ];
    for query in searches.iter().chain(&reflected) {
        let html = shown(status.clone(), query);
        assert_only_our_markup(&html);
        assert!(!html.contains(['\u{202e}', '\u{200b}', '\0', '\u{1b}']), "{query}");
        assert!(html.len() < 300_000, "{query}: {} bytes", html.len());
    }
    let html = shown(status, "");
    assert!(html.contains(
        "&lt;script&gt;alert(1)&lt;/script&gt;&quot; onmouseover=&quot;x&#39; \\u{202e}gnp.exe \\x00"
    ));
    assert!(html.contains(" more characters)"), "long ones are cut and say so");
    assert_only_our_markup(&silent(&hostile));
}

/// Tags and attributes that this program writes, and no other.
fn assert_only_our_markup(html: &str) {
    let body = html.replace(frame::SCRIPT, "").replace(frame::STYLE, "");
    assert_eq!(
        body.matches("<script").count() + body.matches("<style").count(),
        html.matches("<script>").count() + 1
    );
    let (mut rest, mut tags) = (body.as_str(), 0);
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("each tag ends");
        let tag = &rest[start + 1..end];
        let name: String =
            tag.trim_start_matches(['/', '!']).chars().take_while(|c| c.is_alphanumeric()).collect();
        assert!(OURS.contains(&name.as_str()), "<{tag}>");
        for attribute in tag.split_whitespace().skip(1).filter_map(|word| word.split_once("=\"")) {
            assert!(
                !attribute.0.starts_with("on") && attribute.0 != "style" && attribute.0 != "src",
                "<{tag}>"
            );
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
        (rest, tags) = (&rest[end..], tags + 1);
    }
    assert!(tags > 20);
}

const OURS: &[&str] = &[
    "DOCTYPE", "a", "b", "bdi", "body", "button", "circle", "code", "dd", "defs", "div", "dl", "dt",
    "footer", "form", "g", "h1", "h2", "h3", "h4", "head", "header", "html", "input", "label", "li", "link",
    "main", "meta", "nav", "noscript", "ol", "option", "p", "path", "pattern", "pre", "rect", "script",
    "section", "select", "small", "span", "style", "svg", "symbol", "text", "time", "title", "ul", "use",
];
