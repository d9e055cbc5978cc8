//! Configurations that cannot be right: refused by `check`, at start and at reload, where the old one runs on.

use std::path::Path;

use renewd::simulator::Provider;
use serde_json::json;

use crate::support::{World, all_well, generation, millis, secs, until};

const ANY: Provider = Provider::Bizppurio;

/// What is wrong, the whole text (`BASE` stands for a good account's keys), and what must be said of it.
const REFUSED: &[(&str, &str, &[&str])] = &[
    (
        "an unknown provider",
        "accounts: { a: { provider: bizpurio } }",
        &["bizpurio", "did you mean `bizppurio`"],
    ),
    (
        "an unknown credential",
        "accounts:\n  a:\n    provider: bizppurio\n    credentials: { acount: x, password: y }",
        &[":4:", "acount", "did you mean `account`"],
    ),
    (
        "a missing credential",
        "accounts: { a: { provider: bizppurio, credentials: { account: x } } }",
        &["password"],
    ),
    ("an unknown key", "accounts: {}\nagnet: {}", &[":2:1:", "agnet", "did you mean `agent`"]),
    ("a key twice", "accounts: {}\naccounts: {}", &[":2:1:", "twice"]),
    ("a wrong type", "accounts: {}\nlimits: { burst: many }", &[":2:"]),
    ("no accounts", "agent: {}", &["accounts"]),
    ("an account's name", "accounts: { Upper_Case: { BASE } }", &["Upper_Case"]),
    (
        "a lead longer than the known life",
        "accounts: { a: { BASE, renew: { before: 25h } } }",
        &["life of 1d", "hint: a share"],
    ),
    ("a lead of more than all", "accounts: { a: { BASE, renew: { before: 120% } } }", &["120%"]),
    (
        "two writers of one path",
        "accounts:\n  a: { BASE, sinks: [file: /run/e2e/x] }\n  b: { BASE, sinks: [file: /run/e2e/x] }",
        &[":3:", "both write this file"],
    ),
    (
        "a path that is another's folder",
        "accounts: { a: { BASE, sinks: [file: /run/e2e/x, file: /run/e2e/x/y] } }",
        &["folder"],
    ),
    (
        "http to elsewhere",
        "accounts: { a: { BASE, base_url: 'http://api.example.com' } }",
        &["http", "https"],
    ),
    (
        "a secret in a URL",
        "accounts: { a: { BASE, base_url: 'https://me:Zhidden1234567@api.example.com' } }",
        &["user name or password"],
    ),
    (
        "a relative sink path",
        "accounts: { a: { BASE, sinks: [file: run/x] } }",
        &["run/x", "relative", "the whole path"],
    ),
    ("a sink path that climbs", "accounts: { a: { BASE, sinks: [file: /run/../etc/x] } }", &[".."]),
    (
        "a sink open to all",
        "accounts: { a: { BASE, sinks: [file: { path: /run/x, mode: '0666' }] } }",
        &["0640"],
    ),
    ("a bad cron", "accounts: { a: { BASE, renew: { cron: '0 0 25 * * *' } } }", &["cron"]),
    (
        "a cron of five fields",
        "accounts: { a: { BASE, renew: { cron: '0 4 * * *' } } }",
        &["five fields", "0 0 4 * * *"],
    ),
    (
        "a bad zone",
        "accounts: { a: { BASE, renew: { cron: '0 0 4 * * *', timezone: Asia/Soul } } }",
        &["time zone"],
    ),
    ("an unknown environment", "accounts: { a: { BASE, environment: stagin } }", &["stagin", "staging"]),
    (
        "a template that does not parse",
        "accounts: { a: { BASE, sinks: [file: { path: /run/x, template: '{{ access_token' }] } }",
        &["template"],
    ),
    (
        "two secrets' sources",
        "accounts: { a: { provider: bizppurio, credentials: { account: x, password: { env: A, file: /b } } } }",
        &["exactly one"],
    ),
    ("an alias bomb", "BOMB", &[]),
    ("a thousand levels", "LEVELS", &[]),
    ("a tag", "accounts: !!python/object:os.system {}", &["tag"]),
    ("a half-written file", "accounts:\n  a:\n    provider: bizp", &[":3:"]),
    ("no YAML at all", "\u{1}\u{2}", &[]),
];

fn text_of(template: &str) -> String {
    match template {
        "BOMB" => {
            let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
            for level in 1..12 {
                let items = vec![format!("*a{}", level - 1); 10].join(", ");
                text += &format!("a{level}: &a{level} [{items}]\n");
            }
            text + "accounts: {}\n"
        }
        "LEVELS" => format!("accounts: {}{}\n", "[".repeat(1000), "]".repeat(1000)),
        text => text
            .replace("BASE", "provider: bizppurio, credentials: { account: x, password: Zhidden-passw0rd }"),
    }
}

#[test]
fn what_cannot_be_right_is_refused_by_check_run_and_once_with_78_and_a_place() {
    let world = World::new();
    ["Zhidden-passw0rd", "Zhidden1234567"].into_iter().for_each(|secret| world.canaries.add(secret));
    let mut complaints = Vec::new();
    for (what, template, words) in REFUSED {
        world.write_text(&text_of(template));
        for command in ["check", "run", "once"] {
            let output = world.renewd(&[command]);
            let said = String::from_utf8(output.stderr).unwrap();
            let place = format!("{}:", world.config_path().display());
            let missing: Vec<&&str> = words.iter().filter(|word| !said.contains(**word)).collect();
            if output.status.code() != Some(78) || !missing.is_empty() || !said.contains(&place) {
                complaints.push(format!(
                    "{what}: {command}: {:?}, without {missing:?}:\n{said}",
                    output.status.code()
                ));
            }
            if !output.stdout.is_empty() && command != "check" {
                complaints.push(format!("{what}: {command} writes to standard output"));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(!world.path("state").exists(), "nothing was begun");
}

#[test]
fn what_cannot_be_right_harms_no_running_agent() {
    let world = World::living(secs(5));
    let config = world.one(Provider::OAuthClientCredentials);
    let agent = world.start(&config);
    agent.until_well();
    for (what, template, words) in REFUSED {
        world.write_text(&text_of(template));
        let (status, body) = agent.post("/v1/reload", "");
        assert_eq!(status, 422, "{what}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(words.iter().all(|word| message.contains(word)), "{what}: {message}");
        let token = world.read("a.token");
        assert!(world.sim.accepts(Provider::OAuthClientCredentials, &token), "{what}");
    }
    let status = agent.status();
    assert_eq!(status["config"]["generation"], 1);
    let before = generation(&status, "a");
    agent.until("renewals under a broken file", secs(10), |status| generation(status, "a") > before);
    world.write(&config);
    agent.until("no error", secs(5), |status| status["config"]["error"].is_null());
}

#[test]
fn all_problems_of_all_files_are_told_at_once() {
    let world = World::new();
    world.write_text(
        "include: [more/*.yaml]\nlimits: { brst: 1 }\naccounts:\n  a: { provider: nobody }\n  b: { provider: bizppurio, renew: { cron: x } }\n",
    );
    world.put("more/one.yaml", "accounts:\n  c: { provider: kiwom }\n");
    world.put("more/two.yaml", "accounts: [\n");
    let output = world.renewd(&["check"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78));
    for word in ["brst", "nobody", "cron", "account", "kiwom", "more/one.yaml:2:", "more/two.yaml:1:"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn a_missing_configuration_and_a_missing_include_are_told_plainly() {
    let world = World::new();
    for command in ["check", "run", "once"] {
        let output = world.renewd(&[command]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("renewd.yaml"), "{said}");
    }
    world.write_text("include: [absent.yaml]\naccounts: {}\n");
    assert_eq!(world.renewd(&["check"]).status.code(), Some(78));
}

#[test]
fn check_passes_what_is_right_warns_of_what_is_doubtful_and_issues_nothing() {
    let world = World::new();
    let mut config = world.one(Provider::PortOne);
    world.write(&config);
    for words in [&["check"][..], &["check", "--online"]] {
        let output = world.renewd(words);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut twin = world.account(Provider::PortOne, "a");
    twin["sinks"] = json!([{ "file": { "path": world.out("twin.env"), "template": "X=\"{{ access_token }}\"", "write": "in-place", "mode": "0644" } }]);
    config["accounts"]["twin"] = twin;
    world.write(&config);
    let output = world.renewd(&["check"]);
    let said = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for word in ["refresh token", "in-place", "quotes", "anyone on this machine can read"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    config["accounts"]["a"]["credentials"]["apiSecret"] = json!({ "file": world.path("absent") });
    world.write(&config);
    let output = world.renewd(&["check"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("absent"), "{said}");
    assert_eq!(world.sim.requests(), 0);
    assert!(!world.path("state").exists() && !world.out("a.token").exists());
}

#[test]
fn mutated_files_harm_no_running_agent() {
    let world = World::living(secs(600));
    let config = world.config(["a", "b"].map(|name| (name.to_owned(), world.account(ANY, name))));
    let agent = world.start(&config);
    agent.until_well();
    let token = world.read("a.token");
    let good = serde_json::to_vec_pretty(&config).unwrap();
    let rounds = crate::support::setting("RENEWD_MUTATIONS", 150);
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 8).unwrap() % below
    };
    let (mut loaded, mut refused) = (0, 0);
    for _ in 0..rounds {
        let mut text = good.clone();
        for _ in 0..=next(3) {
            if text.is_empty() {
                break;
            }
            let at = next(text.len());
            match next(4) {
                0 => text.truncate(at.max(1)),
                1 => text[at] = u8::try_from(next(256)).unwrap(),
                2 => drop(text.remove(at)),
                _ => {
                    let piece = text[at..(at + next(40)).min(text.len())].to_vec();
                    let to = next(text.len());
                    // A password that a person writes where a path belongs is told like any path.
                    if world.canaries.found_in(&String::from_utf8_lossy(&piece)).is_empty() {
                        text.splice(to..to, piece);
                    }
                }
            }
        }
        // The agent may write where its configuration says: what names a place outside of the test's folder is only
        // checked, which writes nothing.
        if stays_inside(&text, &world.path("")) {
            let new = world.path("mutated");
            std::fs::write(&new, &text).unwrap();
            std::fs::rename(new, world.config_path()).unwrap();
            refused += u64::from(agent.post("/v1/reload", "").0 == 422);
            loaded += 1;
        } else {
            std::fs::write(world.path("elsewhere.yaml"), &text).unwrap();
            let elsewhere = world.path("elsewhere.yaml");
            let code = world.renewd(&["check", "--config", elsewhere.to_str().unwrap()]).status.code();
            assert!(matches!(code, Some(0 | 78)), "{code:?}: {}", String::from_utf8_lossy(&text));
        }
    }
    // Half of the text is paths, and what shifts their quotes is suspected, too.
    assert!(loaded > rounds / 3, "{loaded} of {rounds} reached the agent");
    assert!(refused > loaded / 2, "{refused} of {loaded} refused");
    world.write(&config);
    agent.until("the good one again", secs(10), |status| {
        status["config"]["error"].is_null() && all_well(status)
    });
    let same = until("its token", millis(500), || Some(world.read("a.token")));
    assert!(world.sim.accepts(ANY, &same) && world.sim.accepts(ANY, &token));
    assert!(Path::new(&world.out("b.token")).exists());
}

/// Whether every path in the text lies below the folder, so that nothing can be written elsewhere: each quoted text that
/// has a slash begins with the folder or is a URL, none climbs or is spelt in escapes, and the keys whose defaults are
/// system folders are there.
fn stays_inside(text: &[u8], folder: &Path) -> bool {
    let text = String::from_utf8_lossy(text);
    let folder = format!("{}/", folder.to_str().unwrap().trim_end_matches('/'));
    let is_at_home = |(number, piece): (usize, &str)| {
        let quoted = number % 2 == 1;
        !piece.contains('/')
            || (quoted && (piece.starts_with(&folder) || piece.starts_with("http://127.0.0.1:")))
    };
    let named = ["\"state_dir\": \"/", "\"socket\": \"/"].iter().all(|key| text.contains(key));
    named && !text.contains("..") && !text.contains('\\') && text.split('"').enumerate().all(is_at_home)
}

#[test]
fn the_mutations_watch_over_their_folder() {
    let folder = Path::new("/tmp/x");
    let config = |path: &str| {
        format!("{{\"state_dir\": \"/tmp/x/state\", \"socket\": \"/tmp/x/s\", \"file\": {path}}}")
            .into_bytes()
    };
    assert!(stays_inside(&config("\"/tmp/x/out/a\", \"base_url\": \"http://127.0.0.1:9/token\""), folder));
    for path in [
        "\"/tmp/xy/a\"",
        "\"/tmp/x\"",
        "\"tmp/x/a\"",
        "\"/tmp/x/../a\"",
        "/tmp/x/a",
        "\"\\x2ftmp/x/a\"",
        "\"/tmp/x/a\" /tmp/y",
    ] {
        assert!(!stays_inside(&config(path), folder), "{path}");
    }
    assert!(
        !stays_inside(b"{\"file\": \"/tmp/x/a\"}", folder),
        "the state would stand in the system's folder"
    );
}
