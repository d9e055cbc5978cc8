//! The status page, in a real browser: Chromium looks at a real agent.

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{Agent, Browser, World, axe, free_port, http_get, secs, skip, until};

const ANY: Provider = Provider::Kiwoom;

/// An agent whose page is served, and a browser that is closed yet.
fn stage(world: &World, test: &str, accounts: &[&str]) -> Option<(Agent, String, Browser)> {
    let browser = match Browser::start() {
        Ok(browser) => browser,
        Err(reason) => {
            skip(test, &reason);
            return None;
        }
    };
    let (agent, url) = serving(world, accounts);
    Some((agent, url, browser))
}

fn serving(world: &World, accounts: &[&str]) -> (Agent, String) {
    let mut config = world.config(accounts.iter().map(|name| ((*name).to_owned(), world.account(ANY, name))));
    let port = free_port();
    config["agent"]["listen"] = format!("127.0.0.1:{port}").into();
    let agent = world.start(&config);
    until("an answer", secs(10), || http_get(port, "/livez", "localhost"));
    (agent, format!("http://127.0.0.1:{port}/"))
}

/// Of an account, as the page has it.
const STATE: &str = "document.querySelector('#a-b .s').textContent";

#[test]
fn the_page_follows_what_happens_and_keeps_what_a_person_is_doing() {
    let name = "the_page_follows_what_happens_and_keeps_what_a_person_is_doing";
    let world = World::living(secs(60));
    let Some((agent, url, mut browser)) = stage(&world, name, &["a", "b"]) else { return };
    agent.until_well();
    browser.open(&url, json!({}));
    browser.until(&format!("{STATE} === 'fresh'"), 10_000);
    assert_eq!(browser.eval("document.title"), "All well – renewd");
    assert_eq!(browser.eval("document.querySelector('h1').textContent"), "All is well");
    // Two accounts: their pictures have a stretch behind now, one ahead, and a mark.
    assert_eq!(browser.eval("document.querySelectorAll('.row .t .v').length"), 2);
    assert_eq!(browser.eval("document.querySelectorAll('.row .t .f').length"), 2);
    let drawn = browser.eval("document.querySelector('#a-b .t .f').getBoundingClientRect().width");
    assert!(drawn.as_f64().unwrap() > 50.0, "the style sheet is in force: {drawn}");

    // With the keyboard: what has the focus keeps it, and a text that is being typed stays.
    browser.eval("document.querySelector('#q').focus()");
    browser.order(&json!({ "type": "b.token" }));
    browser
        .until("document.querySelectorAll('li.row').length === 1 && location.search === '?q=b.token'", 5_000);
    browser.eval("window.row = document.querySelector('#a-b'); document.querySelector('#a-b a').focus()");
    world.sim.fault("kiwoom/id-b=503");
    agent.post("/v1/accounts/b/renew?timeout=10", "");
    browser.until(&format!("{STATE} === 'retrying'"), 10_000);
    assert_eq!(browser.eval("document.title"), "1 failing – renewd");
    assert_eq!(browser.eval("document.activeElement === document.querySelector('#a-b a')"), true);
    assert_eq!(
        browser.eval("window.row === document.querySelector('#a-b')"),
        true,
        "the row is the same one"
    );
    assert_eq!(browser.eval("document.querySelector('#q').value"), "b.token");
    let why = browser.eval("document.querySelector('#a-b .why').textContent").to_string();
    assert!(why.contains("503") && why.contains("transient"), "{why}");
    assert_eq!(
        browser.eval("document.querySelectorAll('#a-b .t use[href=\"#x\"]').length"),
        1,
        "the failure is drawn"
    );
    browser.assert_silent();

    // Where the agent goes away, the page says so instead of showing what is not so any more.
    drop(agent);
    browser.until("!document.querySelector('#stale').hidden", 15_000);
    let stale = browser.eval("document.querySelector('#stale').textContent").to_string();
    assert!(stale.contains("cannot be reached") && stale.contains("as of 20"), "{stale}");
}

#[test]
fn without_javascript_the_page_shows_the_same_and_its_form_works() {
    let name = "without_javascript_the_page_shows_the_same_and_its_form_works";
    let world = World::living(secs(600));
    world.sim.fault("kiwoom/id-b=401");
    let Some((agent, url, mut browser)) = stage(&world, name, &["a", "b"]) else { return };
    agent.until("a token and a refusal", secs(20), |status| {
        let state = |number: usize| status["accounts"][number]["state"].clone();
        state(0) == "fresh" && state(1) == "rejected"
    });
    browser.open(&url, json!({ "script": false }));
    assert_eq!(
        browser.eval("document.querySelector('h1').textContent"),
        "1 of 2 accounts has no valid token"
    );
    assert_eq!(browser.eval(STATE), "rejected");
    assert_eq!(browser.eval("document.querySelectorAll('meta[http-equiv=refresh]').length"), 1);
    assert_eq!(browser.eval("getComputedStyle(document.querySelector('#show')).display !== 'none'"), true);
    // Along the links and fields, with the keyboard alone: the first stop leads past the rest.
    browser.order(&json!({ "key": "Tab" }));
    assert_eq!(browser.eval("document.activeElement.className"), "skip");
    browser.eval("document.querySelector('#q').focus()");
    browser.order(&json!({ "type": "a.token" }));
    browser.order(&json!({ "key": "Enter" }));
    browser.until(
        "location.search.startsWith('?q=a.token&') && document.querySelectorAll('li.row').length === 1",
        5_000,
    );
    browser.eval("document.querySelector('#a-a a').click()");
    browser.until("location.search.includes('account=a') && !!document.querySelector('#account')", 5_000);
    browser.assert_silent();
}

#[test]
fn hostile_words_run_nothing_in_a_browser() {
    let name = "hostile_words_run_nothing_in_a_browser";
    let world = World::living(secs(600));
    let Some((agent, url, mut browser)) = stage(&world, name, &["a"]) else { return };
    agent.until_well();
    // Complained of in words that quote the file.
    world.write_text(
        "accounts:\n  '<img src=x onerror=alert(1)>': { provider: \"</pre><script>alert(2)</script>\" }\n",
    );
    agent.until("a refused reload", secs(10), |status| !status["config"]["error"].is_null());
    let asked = "?q=%22%3E%3Cscript%3Ealert(3)%3C/script%3E&account=%3Cimg%20src=x%20onerror=alert(4)%3E";
    for query in ["", asked] {
        browser.open(&format!("{url}{query}"), json!({}));
        assert_eq!(browser.eval("document.querySelectorAll('img, script').length"), 1, "but its own");
        let complaint = browser.eval("document.querySelector('#c-config pre').textContent").to_string();
        assert!(complaint.contains("</pre><script>alert(2)</script>"), "{complaint}");
        if query.is_empty() {
            browser.assert_silent();
        }
    }
    // What is put into the page all the same does not run.
    browser.eval("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\"><p style=\"color:red\">')");
    let said = browser.order(&json!({ "said": true })).to_string();
    assert!(said.contains("Content Security Policy"), "{said}");
    assert_eq!(browser.eval("window.ran === undefined"), true);
}

#[test]
fn the_page_is_accessible_in_each_of_its_looks() {
    let name = "the_page_is_accessible_in_each_of_its_looks";
    let Some(axe) = axe() else { return skip(name, "axe-core is not installed") };
    let world = World::living(secs(600));
    world.sim.fault("kiwoom/id-b=503");
    let Some((agent, url, mut browser)) = stage(&world, name, &["a", "b", "c"]) else { return };
    agent.until("a token and a failure", secs(20), |status| {
        status["accounts"][0]["state"] == "fresh" && status["accounts"][1]["attempt"].as_u64() > Some(0)
    });
    for (query, look) in [
        ("", json!({})),
        ("", json!({ "dark": true })),
        ("?group=provider", json!({ "width": 375, "height": 800, "phone": true })),
        ("?account=b", json!({ "dark": true, "reduced": true })),
        ("?account=nobody&live=off", json!({})),
    ] {
        browser.open(&format!("{url}{query}"), look.clone());
        let found = browser.order(&json!({ "axe": axe }));
        assert_eq!(found, json!([]), "{query} {look}: {found:#}");
        let wide: Value = browser.eval("document.documentElement.scrollWidth > innerWidth");
        assert_eq!(wide, false, "{query} {look}: nothing sticks out");
    }
    browser.eval("document.activeElement.blur(); document.querySelector('#pause').focus()");
}

#[test]
fn the_page_comes_with_strict_headers_and_is_for_reading_only() {
    let world = World::living(secs(600));
    let (_agent, url) = serving(&world, &["a"]);
    let head = |arguments: &[&str]| {
        let output = std::process::Command::new("curl")
            .args(["-sS", "-i", "--noproxy", "*"])
            .args(arguments)
            .arg(&url)
            .output();
        output.ok().map(|output| String::from_utf8_lossy(&output.stdout).to_lowercase())
    };
    let Some(answer) = head(&[]) else {
        return skip("the_page_comes_with_strict_headers_and_is_for_reading_only", "there is no curl");
    };
    for header in [
        "http/1.1 200",
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; style-src 'sha256-",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "x-frame-options: deny",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-embedder-policy: require-corp",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(answer.contains(header), "{header} is not in\n{answer}");
    }
    let refused = head(&["-X", "POST", "-d", "x=y"]).unwrap();
    assert!(refused.starts_with("http/1.1 405") && refused.contains("allow: get, head"), "{refused}");
    let foreign = head(&["-H", "Host: evil.example"]).unwrap();
    assert!(foreign.starts_with("http/1.1 421") && !foreign.contains("<html"), "{foreign}");
    let head = head(&["--head"]).unwrap();
    assert!(head.starts_with("http/1.1 200") && !head.contains("<html"), "{head}");
}
