//! Users of the machine at the agent's doors, the control socket and `agent.listen`: those who may not come in, and those
//! who may and mean no good.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{
    World, account, free_port, generation, http_get, is_root, is_well, millis, secs, skip, until,
};

const ANY: Provider = Provider::OAuthClientCredentials;
const STRANGER: u32 = 61_236;
const MEMBERS: u32 = 61_237;

/// `curl` over the socket with these ids: its exit status and the HTTP status.
fn asked(ids: &[String], socket: &Path, path: &str) -> (Option<i32>, String) {
    let output = Command::new("setpriv")
        .args(ids)
        .args(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket"])
        .arg(socket)
        .arg(format!("http://renewd{path}"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn who_is_not_in_the_sockets_group_does_not_even_reach_it() {
    let test = "who_is_not_in_the_sockets_group_does_not_even_reach_it";
    if !is_root() {
        return skip(test, "only root can become another user");
    }
    let world = World::living(secs(600));
    std::fs::set_permissions(world.path(""), PermissionsExt::from_mode(0o755)).unwrap();
    let mut config = world.one(ANY);
    config["agent"]["socket"] =
        json!({ "path": world.path("run/renewd.sock"), "group": MEMBERS.to_string() });
    let agent = world.start(&config);
    agent.until_well();
    let ids = |group: u32, groups: &str| {
        let groups =
            if groups.is_empty() { "--clear-groups".to_owned() } else { format!("--groups={groups}") };
        [format!("--reuid={STRANGER}"), format!("--regid={group}"), groups]
    };
    for path in ["/v1/status", "/v1/accounts/a/token", "/v1/config"] {
        // 7: curl could not connect.
        assert_eq!(asked(&ids(STRANGER, ""), agent.socket(), path), (Some(7), "000".to_owned()), "{path}");
        assert_eq!(asked(&ids(MEMBERS, ""), agent.socket(), path), (Some(0), "200".to_owned()), "{path}");
    }
    // A supplementary group lets in; tokens are for those whom /etc/group, or their own group, makes members.
    let supplementary = ids(STRANGER, &MEMBERS.to_string());
    assert_eq!(asked(&supplementary, agent.socket(), "/v1/status").1, "200");
    assert_eq!(asked(&supplementary, agent.socket(), "/v1/accounts/a/token").1, "403");
    agent.stop();
}

/// What a visitor sends who means no good; whoever is cut off comes again.
const ROUGH: [&str; 6] = [
    "nothing",
    "half a head",
    "half a body",
    "a head without an end",
    "a body without an end",
    "many at once",
];

fn rough(kind: &str, stream: &mut (impl Read + Write), over: &AtomicBool) {
    let head = "POST /v1/accounts/a/invalidate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    let _ = match kind {
        "nothing" => Ok(()),
        "half a head" => stream.write_all(head.as_bytes()),
        "half a body" => stream.write_all(format!("{head}Content-Length: 100\r\n\r\n{{").as_bytes()),
        "a head without an end" => (0..4096)
            .try_for_each(|n| stream.write_all(format!("x-{n}: {}\r\n", "y".repeat(1000)).as_bytes())),
        "a body without an end" => {
            let _ = stream.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
            (0..4096).try_for_each(|_| {
                stream
                    .write_all(b"400\r\n")
                    .and_then(|()| stream.write_all(&[b'1'; 1024]))
                    .and_then(|()| stream.write_all(b"\r\n"))
            })
        }
        _ => stream.write_all(
            "GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
                .repeat(1000)
                .as_bytes(),
        ),
    };
    // Whatever comes back is not read; he stays until he is thrown out.
    let mut byte = [0];
    while !over.load(Ordering::Relaxed) {
        match stream.read(&mut byte) {
            Ok(0) => return,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
            Ok(_) => std::thread::sleep(millis(50)),
        }
    }
}

fn numbers(pid: i32) -> (usize, u64) {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let memory = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    (descriptors, peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024)
}

/// So many visitors at once, each coming again as soon as he is thrown out; what the agent makes of it meanwhile.
fn besieged(socket: bool) {
    const VISITORS: usize = 600;
    let world = World::living(secs(6));
    let port = free_port();
    let mut config = world.one(ANY);
    config["agent"]["listen"] = json!(format!("127.0.0.1:{port}"));
    world.write(&config);
    let agent = world.run().start_with(&["run", "--log-level", "info"]);
    // As it would be run: 1,024 descriptors.
    let pid = agent.pid().to_string();
    let _ = Command::new("prlimit").args(["--pid", &pid, "--nofile=1024:4096"]).status();
    let before = generation(&agent.until_well(), "a");
    let over = AtomicBool::new(false);
    let (mut most, mut peak) = (0, 0);
    std::thread::scope(|scope| {
        for number in 0..VISITORS {
            let (over, path) = (&over, agent.socket().to_owned());
            std::thread::Builder::new()
                .stack_size(128 << 10)
                .spawn_scoped(scope, move || {
                    let mut turn = number;
                    while !over.load(Ordering::Relaxed) {
                        let kind = ROUGH[turn % ROUGH.len()];
                        turn += 1;
                        if socket {
                            let Ok(mut stream) = UnixStream::connect(&path) else {
                                std::thread::sleep(millis(50));
                                continue;
                            };
                            let _ = stream.set_read_timeout(Some(millis(200)));
                            let _ = stream.set_write_timeout(Some(millis(200)));
                            rough(kind, &mut stream, over);
                        } else {
                            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
                                std::thread::sleep(millis(50));
                                continue;
                            };
                            let _ = stream.set_read_timeout(Some(millis(200)));
                            let _ = stream.set_write_timeout(Some(millis(200)));
                            rough(kind, &mut stream, over);
                        }
                    }
                })
                .unwrap();
        }
        // The file itself tells: nobody can be asked at a door that is full.
        let begun = Instant::now();
        let (mut tokens, mut last, mut refused) = (0, String::new(), Duration::ZERO);
        let mut bad_since: Option<Instant> = None;
        while begun.elapsed() < secs(12) {
            let (descriptors, memory) = numbers(agent.pid());
            (most, peak) = (most.max(descriptors), peak.max(memory));
            let token = std::fs::read_to_string(world.out("a.token")).unwrap_or_default();
            if token != last {
                (tokens, last) = (tokens + 1, token.clone());
            }
            match world.sim.accepts(ANY, &token) {
                true => bad_since = None,
                false => refused = refused.max(bad_since.get_or_insert_with(Instant::now).elapsed()),
            }
            std::thread::sleep(millis(20));
        }
        over.store(true, Ordering::Relaxed);
        eprintln!(
            "{VISITORS} visitors {}: {tokens} tokens in 12 s, the longest without a good one {refused:?}; {most} descriptors, {peak} MiB",
            if socket { "of the socket" } else { "of the port" }
        );
        assert!(tokens >= 3, "renewals went on: {tokens}");
        assert!(refused < secs(2), "{refused:?}");
    });
    assert!(most <= 512, "{most} descriptors");
    assert!(peak <= if cfg!(debug_assertions) { 128 } else { 64 }, "{peak} MiB");
    // They are gone: everybody is answered at once.
    until("an answer at the socket", secs(15), || agent.try_status());
    until("an answer at the port", secs(20), || {
        http_get(port, "/livez", "localhost").filter(|reply| reply.0 == 200)
    });
    let status = agent.until("all well", secs(15), |status: &Value| is_well(account(status, "a")));
    assert!(generation(&status, "a") > before);
    assert_eq!(agent.logged("sink_failed") + agent.logged("renewal_failed"), 0, "{}", agent.log());
    agent.stop();
}

#[test]
fn visitors_of_the_socket_who_mean_no_good_delay_no_token_and_take_few_descriptors() {
    besieged(true);
}

#[test]
fn visitors_of_the_port_who_mean_no_good_delay_no_token_and_take_few_descriptors() {
    besieged(false);
}
