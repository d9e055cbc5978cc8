//! An agent that logs at trace, with every kind of sink, hook and listener, and everything that others can see of it: no
//! secret and no token in any form.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use renewd::simulator::Provider;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::hooks::Inbox;
use crate::support::{Agent, World, account, free_port, http_get, is_root, is_well, secs, until};

/// Whoever is not root.
const USER: u32 = 65534;
/// What must not be found, made up for this test.
const VAULT_TOKEN: &str = "hvs.Zv4ultT0kenThatNobodyMaySee";

/// A Vault that takes everything, and remembers what it was given.
fn vault() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let taken: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&taken);
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(&connection);
            let (mut first, mut length) = (String::new(), 0);
            let _ = reader.read_line(&mut first);
            for line in reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
                let line = line.to_ascii_lowercase();
                length =
                    line.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().unwrap());
            }
            let mut body = vec![0; length];
            let _ = reader.read_exact(&mut body);
            let path = first.split(' ').nth(1).unwrap_or_default();
            let (status, answer) = match path {
                _ if path.starts_with("/v1/auth/token/lookup-self") => {
                    (200, json!({ "data": { "ttl": 0, "renewable": false } }))
                }
                _ if path.starts_with("/v1/sys/internal/ui/mounts/") => (
                    200,
                    json!({ "data": { "type": "kv", "options": { "version": "2" }, "path": "secret/" } }),
                ),
                _ if path.contains("/data/") && !first.starts_with("GET") => {
                    kept.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
                    (200, json!({ "data": { "version": 1 } }))
                }
                _ => (404, json!({ "errors": [] })),
            };
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}", answer.len());
            let _ = write!(&connection, "{head}\r\nConnection: close\r\n\r\n{answer}");
        }
    });
    (address, taken)
}

/// Every kind of sink, template, hook and listener, with secrets from files.
fn everything(world: &World, inbox: &Inbox, port: u16, vault: SocketAddr) -> Value {
    use Provider::{Bizppurio, Kis, OAuthClientCredentials, OAuthRefreshToken, PortOne};
    let all = [
        ("a", OAuthClientCredentials),
        ("b", OAuthRefreshToken),
        ("c", PortOne),
        ("d", Bizppurio),
        ("e", Kis),
    ];
    let mut config = world.config(all.map(|(name, kind)| (name.to_owned(), world.account(kind, name))));
    // A file each, as people should have it; the account's own name is none.
    for (name, _) in all {
        for (key, value) in config["accounts"][name]["credentials"].as_object_mut().unwrap() {
            let secret = value.as_str().unwrap();
            if !secret.starts_with("id-") {
                *value = json!({ "file": world.put(&format!("secrets/{name}-{key}"), secret) });
            }
        }
    }
    let hook = world.path("hook");
    let script = format!(
        "cat /proc/self/environ /proc/$$/environ /proc/$$/cmdline >> {}; env; ps -ef 2>/dev/null; exit 3",
        hook.display()
    );
    let webhook = format!("http://{}/told", inbox.address);
    let out = |name: &str| json!(world.out(name));
    config["accounts"]["a"]["sinks"] = json!([
        { "file": out("a.token") },
        { "file": { "path": out("a.json"), "content": "json", "mode": "0640" } },
        { "file": { "path": out("a.header"), "content": "header", "write": "in-place" } },
        { "file": { "path": out("a.env"), "template": "TOKEN={{ access_token }}" } },
        { "file": { "path": "/proc/none/of/this", "content": "token" } },
        { "vault": "secret/tokens/a" },
        { "kubernetes": { "secret": "a-token", "namespace": "apps" } },
    ]);
    config["accounts"]["a"]["on_change"] = json!([
        { "command": ["/bin/sh", "-c", script] },
        { "webhook": { "url": webhook } },
        { "signal": { "pid_file": world.path("nobody.pid") } },
    ]);
    config["templates"] = json!([
        { "path": out("all.env"), "inline": "A={{ accounts.a.access_token }}\nR={{ accounts.b.refresh_token }}\n",
          "on_change": [{ "webhook": { "url": webhook } }] },
        { "directory": out("set"), "files": { "c": "{{ accounts.c.access_token }}", "d.json": "{{ accounts.d|json }}" } },
    ]);
    let token = world.put("secrets/vault", VAULT_TOKEN);
    config["vault"] = json!({ "address": format!("http://{vault}"), "auth": { "token": { "file": token } } });
    config["agent"]["listen"] = json!(format!("127.0.0.1:{port}"));
    config["agent"]["audit"] = json!(world.path("log/audit.jsonl"));
    config["agent"]["alerts"] = json!([
        { "webhook": { "url": format!("http://{}/alert", inbox.address) } },
        { "command": ["/bin/sh", "-c", format!("cat /proc/$$/environ >> {}", hook.display())] },
    ]);
    config
}

/// All that the agent's tokens are, as its state and its sinks have them.
fn note_tokens(world: &World, agent: &Agent) {
    for name in ["a", "b", "c", "d", "e"] {
        world.canary_token(name, agent);
    }
    for entry in fs::read_dir(world.path("state/accounts")).unwrap() {
        world.canaries.add_of_json(&fs::read(entry.unwrap().path()).unwrap());
    }
}

fn text(path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

#[test]
fn nothing_that_others_can_see_of_the_agent_tells_a_secret_or_a_token() {
    let world = World::living(secs(20));
    let (inbox, port) = (Inbox::start(), free_port());
    let (address, taken) = vault();
    let mut config = everything(&world, &inbox, port, address);
    world.canaries.add(VAULT_TOKEN);
    world.write(&config);
    let place = world.path("cores");
    fs::create_dir_all(&place).unwrap();
    if is_root() {
        world.give_to(USER);
    }
    let run = || {
        let mut run = if is_root() { world.run().by_user(USER) } else { world.run() };
        let words = ["sh", "-c", "ulimit -c unlimited; cd \"$0\"; exec \"$@\"", place.to_str().unwrap()];
        run.wrapper.splice(0..0, words.map(str::to_owned));
        run
    };
    let mut agent = run().start();
    agent.until("tokens", secs(20), |status| {
        ["b", "c", "d", "e"].iter().all(|name| is_well(account(status, name)))
    });
    until("what Vault was given", secs(10), || (!taken.lock().unwrap().is_empty()).then_some(()));
    note_tokens(&world, &agent);

    // Renewals, failures of every kind of reply, reloads that are refused and taken, an outage with its alerts.
    assert_eq!(agent.renew("b").0, 200);
    note_tokens(&world, &agent);
    for fault in ["500", "html", "truncated", "rejected", "error-in-200", "token-newline"] {
        world.sim.fault(&format!("*={fault}"));
        agent.renew("c");
        world.sim.clear();
    }
    world.write_text("accounts: { a: { provider: kis, credentials: { appkey: Zc0nfigsecret-0001 }, sinks: [");
    world.canaries.add("Zc0nfigsecret-0001");
    agent.until("the refusal", secs(10), |status| status["config"]["error"].is_string());
    assert_eq!(agent.get("/v1/config").0, 200);
    config["accounts"]["d"]["sinks"] = json!([]);
    world.write(&config);
    agent.until("the new one", secs(10), |status| status["config"]["generation"] == 2);
    world.sim.stop();
    until("an alert", secs(40), || {
        inbox.all().iter().any(|request| request.starts_with("POST /alert")).then_some(())
    });
    agent.signal(Signal::USR1);
    agent.signal(Signal::HUP);
    agent.until("the outage", secs(20), |status| status["accounts"].to_string().contains("expired"));
    note_state(&world);

    let pid = agent.pid();
    let mut seen: Vec<(String, String)> = vec![
        ("the log".to_owned(), agent.log()),
        ("the audit log".to_owned(), text(world.path("log/audit.jsonl"))),
        ("hooks' environments and command lines".to_owned(), text(world.path("hook"))),
        ("webhooks and alerts".to_owned(), inbox.all().join("\n")),
        ("the status".to_owned(), agent.status().to_string()),
        ("the makeup".to_owned(), agent.get("/v1/config").1.to_string()),
        ("the agent's environment".to_owned(), text(format!("/proc/{pid}/environ"))),
        ("the agent's command line".to_owned(), text(format!("/proc/{pid}/cmdline"))),
    ];
    for path in ["/", "/metrics", "/api/v1/status", "/readyz", "/readyz/a", "/livez", "/nowhere"] {
        let (_, body) = http_get(port, path, "localhost").unwrap();
        seen.push((path.to_owned(), body));
    }
    for words in [&["status"][..], &["status", "a"], &["plan"], &["check"], &["check", "--online"]] {
        let output = world.run().command(words).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        seen.push((words.join(" "), String::from_utf8_lossy(&said).into_owned()));
    }
    assert!(
        seen[0].1.len() > 10_000 && !seen[1].1.is_empty() && !seen[2].1.is_empty(),
        "there is something to search"
    );
    if is_root() {
        for name in ["mem", "environ", "maps"] {
            let cat = format!("head -c 1 /proc/{pid}/{name}");
            let ids = [format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".to_owned()];
            let output = Command::new("setpriv").args(ids).args(["sh", "-c", &cat]).output().unwrap();
            assert!(
                !output.status.success() && output.stdout.is_empty(),
                "its own user reads /proc/PID/{name}"
            );
        }
    }
    let temporary = world.leftovers();
    assert_eq!(temporary, [] as [PathBuf; 0]);

    // Two ways to ask for a core.
    agent.signal(Signal::ABORT);
    let status = agent.ends_within(secs(10)).expect("ABRT ends it");
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
    let mut agent = run().start();
    agent.until("a second agent", secs(20), |status| status["accounts"].is_array());
    agent.signal(Signal::QUIT);
    let status = agent.ends_within(secs(10)).expect("QUIT ends it");
    assert_eq!((status.signal(), status.core_dumped()), (Some(3), false));
    let cores: Vec<PathBuf> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(cores, [] as [PathBuf; 0], "no core");
    seen.push(("the second log".to_owned(), agent.log()));
    // What lies about beside sinks, state and secrets: nothing that begins or ends like a temporary file.
    for folder in [world.path(""), world.out(""), world.path("run"), world.path("log")] {
        for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(!name.starts_with(".renewd-tmp") && !name.starts_with("core."), "{name} was left over");
        }
    }

    let hits: Vec<String> = seen
        .iter()
        .flat_map(|(what, text)| {
            world.canaries.found_in(text).into_iter().map(move |found| format!("{what}: {found}"))
        })
        .collect();
    assert_eq!(hits, [""; 0]);
}

/// Nothing from outside makes the agent panic while it holds tokens, as far as we know, and no switch is built in for it; so what is provoked
/// is a panic of `check --online`, which has read the secrets and then gets no thread to ask for a name, and one of the agent at its start.
/// Both have the agent's own hook; that it passes over a panic's message, whatever that holds, its unit test says
/// (`cli::exit`). A task of the agent that panics is a failure of its account with the words "internal fault, see the log".
#[test]
fn a_panic_tells_its_place_and_no_secret_and_leaves_no_core() {
    let world = World::new();
    let mut config = world.one(Provider::Bizppurio);
    let secret = "Zp4ssw0rd-in-the-configuration";
    world.canaries.add(secret);
    config["accounts"]["a"]["credentials"]["password"] = json!(secret);
    // A name, which takes a thread to look up.
    config["accounts"]["a"]["base_url"] = json!("https://localhost:1/bizppurio");
    world.write(&config);
    if is_root() {
        world.give_to(USER);
    }
    let place = world.path("cores");
    fs::create_dir_all(&place).unwrap();
    for (words, rest) in [(&["check", "--online"][..], 1), (&["run"], 70)] {
        let mut run = if is_root() { world.run().by_user(USER) } else { world.run() };
        let shell = ["sh", "-c", "ulimit -c unlimited; cd \"$0\"; exec \"$@\"", place.to_str().unwrap()];
        // The user comes last: only the one who changes to them may pass the home that the build may be in.
        run.wrapper.splice(0..0, shell.into_iter().chain(["prlimit", "--nproc=1"]).map(str::to_owned));
        let output = run.env("RUST_BACKTRACE", "full").env("APP_PASSWORD", secret).finish(words);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(rest), "{words:?}: {said}");
        let faults: Vec<_> = said.lines().filter(|line| line.contains("internal fault")).collect();
        assert!(!faults.is_empty() && faults.iter().all(|line| line.contains(" at ")), "{words:?}: {said}");
        for word in ["OS can", "Os {", "stack backtrace", "Resource temporarily"] {
            assert!(!said.contains(word), "{words:?} tells what the panic says ({word}): {said}");
        }
        assert_eq!(world.canaries.found_in(&said), [""; 0]);
    }
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "no core");
}

/// Tokens of the outage's renewals.
fn note_state(world: &World) {
    for entry in fs::read_dir(world.path("state/accounts")).unwrap() {
        world.canaries.add_of_json(&fs::read(entry.unwrap().path()).unwrap());
    }
}
