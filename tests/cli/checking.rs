//! `check`, and what is said where a configuration, a folder or a port is not as it should be.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::stub::{StubAgent, usual};
use super::{renewd, run, told, write};

/// A folder with a configuration, and a vendor that accepts connections.
struct Scene {
    folder: tempfile::TempDir,
    vendor: TcpListener,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), vendor: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    /// Below `agent:`, and the account's sinks.
    fn configure(&self, agent: &str, sinks: &str) -> PathBuf {
        let path = self.at("renewd.yaml");
        let (here, vendor) = (self.at(""), self.vendor.local_addr().unwrap());
        let agent = agent.replace("HERE/", here.to_str().unwrap());
        let sinks = sinks.replace("HERE/", here.to_str().unwrap());
        write(
            &path,
            &format!(
                "agent: {{ {agent} }}\naccounts:\n  a:\n    provider: bizppurio\n    base_url: http://{vendor}\n    \
                 credentials: {{ account: x, password: y }}\n    sinks: {sinks}\n"
            ),
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap(); // a password stands in it
        path
    }

    fn check(&self, words: &[&str], config: &Path) -> (i32, String, String) {
        told(renewd(&[&["check"], words].concat()).arg("--config").arg(config).output().unwrap())
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// An agent whose log is read line by line; it ends with the value.
struct Agent {
    child: Child,
    log: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Agent {
    fn start(config: &Path) -> Self {
        let mut command = renewd(&["run", "--config"]);
        let mut child = command.arg(config).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, log }
    }

    /// The next line with these words.
    fn says(&mut self, words: &str) -> String {
        self.log.by_ref().map(Result::unwrap).find(|line| line.contains(words)).unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn check_warns_of_owners_that_only_another_machine_may_know() {
    let scene = Scene::new();
    let config = scene.configure(
        "socket: { path: HERE/s.sock, group: no-such-group-1 }",
        "[{ file: { path: HERE/token, owner: no-such-user-2, group: no-such-group-3 } }]",
    );
    let (exit, stdout, stderr) = scene.check(&[], &config);
    assert_eq!((exit, stdout.as_str()), (0, "ok: 1 account, 1 sink\n"), "{stderr}");
    for words in ["group `no-such-group-1`", "user `no-such-user-2`", "group `no-such-group-3`"] {
        assert!(stderr.contains(&format!("there is no {words} on this machine")), "{stderr}");
    }
    assert_eq!(stderr.matches("warning:").count(), 3, "{stderr}");
}

#[test]
fn check_online_names_each_thing_that_this_machine_refuses_and_makes_nothing() {
    let scene = Scene::new();
    write(&scene.at("file"), "");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = scene.configure(
        &format!(
            "state_dir: HERE/file/state, socket: {{ path: HERE/file/s.sock, group: no-such-group-1 }}, listen: \"{address}\""
        ),
        "[{ file: { path: HERE/token, owner: no-such-user-2, group: no-such-group-3 } }, { file: HERE/file/token }, \
          { file: HERE/renewd.yaml/deeper/token }]",
    );
    let before = scene.names();
    let (exit, stdout, stderr) = scene.check(&["--online"], &config);
    assert_eq!((exit, stdout.as_str()), (1, ""), "{stderr}");
    let here = scene.at("");
    let here = here.to_str().unwrap();
    for words in [
        format!("sink file:{here}token: there is no user `no-such-user-2` on this machine"),
        format!("sink file:{here}token: there is no group `no-such-group-3` on this machine"),
        format!("sink file:{here}file/token: cannot open the folder `{here}file`: not a directory"),
        format!("sink file:{here}renewd.yaml/deeper/token: cannot open the folder"),
        format!("agent.state_dir: the state directory is not usable: cannot open the folder `{here}file`"),
        format!(
            "agent.socket: cannot give a group to {here}file/s.sock: /etc/group has no `no-such-group-1`"
        ),
        format!(
            "agent.socket: cannot listen on {here}file/s.sock: cannot open the folder `{here}file`: not a directory"
        ),
        format!("agent.listen: cannot listen on {address}: something that is no renewd has this port"),
    ] {
        assert!(stderr.contains(&format!("error: {words}")), "{words}\n\nin:\n{stderr}");
    }
    assert_eq!(stderr.matches("error:").count(), 8, "{stderr}");
    assert_eq!(scene.names(), before);
}

#[test]
fn check_online_is_content_with_folders_that_can_be_made_and_makes_none() {
    let scene = Scene::new();
    let config = scene.configure(
        "state_dir: HERE/state, socket: HERE/run/s.sock, listen: off",
        "[{ file: HERE/run/deep/token }, { file: { path: HERE/run/in-place, write: in-place } }]",
    );
    let (exit, stdout, stderr) = scene.check(&["--online"], &config);
    assert_eq!((exit, stdout.as_str()), (0, "ok: 1 account, 2 sinks\n"), "{stderr}");
    let vendor = scene.vendor.local_addr().unwrap();
    assert!(stderr.contains(&format!("{vendor}: answers\n")), "the address stands once: {stderr}");
    assert_eq!(scene.names(), ["renewd.yaml"]);
}

#[test]
fn check_online_is_content_with_a_set_that_has_been_delivered_and_names_what_stands_in_its_way() {
    use std::os::unix::fs::symlink;
    let scene = Scene::new();
    let config = scene.configure("state_dir: HERE/state, socket: HERE/renewd.sock, listen: off", "[]");
    let set = scene.at("set");
    let text = std::fs::read_to_string(&config).unwrap();
    let template = format!(
        "templates: [{{ directory: {}, files: {{ token: {{ inline: \"{{{{ accounts.a.access_token }}}}\" }} }} }}]\n",
        set.display()
    );
    write(&config, &(text + &template));
    let before = scene.check(&["--online"], &config);
    assert_eq!(before.0, 0, "{before:?}");

    std::fs::create_dir_all(set.join("..renewd.87212c4c18dc11e5")).unwrap();
    write(&set.join("..renewd.87212c4c18dc11e5/token"), "a token");
    symlink("..renewd.87212c4c18dc11e5", set.join("..data")).unwrap();
    symlink("..data/token", set.join("token")).unwrap();
    let delivered = scene.check(&["--online"], &config);
    assert_eq!(delivered.0, 0, "{delivered:?}");

    std::fs::remove_file(set.join("token")).unwrap();
    write(&set.join("token"), "someone else's");
    let (exit, _, stderr) = scene.check(&["--online"], &config);
    assert_eq!(exit, 1, "{stderr}");
    let expected = format!("error: template {0}: `{0}/token`", set.display());
    assert!(stderr.contains(&expected), "{stderr}");
}

#[test]
fn check_online_reaches_what_verifies_and_who_is_told_and_asks_nothing_there() {
    let scene = Scene::new();
    let (verify, hook) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (at_verify, at_hook) = (verify.local_addr().unwrap(), hook.local_addr().unwrap());
    let sinks = format!(
        "[]\n    verify: {{ url: \"http://{at_verify}/me\" }}\n    on_change: [webhook: {{ url: \"http://{at_hook}/rotated\" }}]"
    );
    let config = scene.configure("state_dir: HERE/state, socket: HERE/s.sock, listen: off", &sinks);
    let (exit, _, stderr) = scene.check(&["--online"], &config);
    assert_eq!(exit, 0, "{stderr}");
    for (listener, words) in [
        (&verify, format!("{at_verify} (verify.url of a): answers; nothing was asked of it\n")),
        (&hook, format!("{at_hook} (a webhook of a): answers; nothing was asked of it\n")),
    ] {
        assert!(stderr.contains(&words), "{stderr}");
        let mut asked = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut asked).unwrap();
        assert_eq!(asked, b"", "a connection and no word");
    }
    drop((verify, hook));
    let (exit, _, stderr) = scene.check(&["--online"], &config);
    assert_eq!(exit, 1, "{stderr}");
    for words in [
        format!("error: {at_verify} (verify.url of a): no connection"),
        format!("error: {at_hook} (a webhook of a): no connection"),
    ] {
        assert!(stderr.contains(&words), "{stderr}");
    }
}

#[test]
fn check_online_takes_a_running_renewd_for_no_obstacle_and_a_second_one_says_whose_port_it_is() {
    let scene = Scene::new();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let agent = |name: &str| {
        format!(
            "state_dir: HERE/{name}, socket: HERE/{name}.sock, listen: \"{address}\", log: {{ format: text }}"
        )
    };
    let config = scene.configure(&agent("first"), "[]");
    let mut first = Agent::start(&config);
    let started = first.says("renewd has started");
    assert!(started.contains("renewd has started version="), "{started}");
    assert!(!started.contains("event="), "the event's name is for programs: {started}");
    first.says("health and metrics are served");
    let (exit, _, stderr) = scene.check(&["--online"], &config);
    assert_eq!(exit, 0, "{stderr}");
    assert!(stderr.contains(&format!("{address}: a running renewd answers\n")), "{stderr}");

    let mut second = Agent::start(&scene.configure(&agent("second"), "[]"));
    let refused = second.says("cannot listen");
    assert!(refused.contains("`agent.listen`") && refused.contains("`off`"), "{refused}");
}

#[test]
fn a_misspelt_credential_is_told_without_the_one_that_is_missing_for_it() {
    let scene = Scene::new();
    let path = scene.at("renewd.yaml");
    write(&path, "accounts:\n  a: { provider: kis, credentials: { appKey: x, appsecrt: y } }\n");
    let (exit, _, stderr) = scene.check(&[], &path);
    assert_eq!((exit, stderr.matches("did you mean").count()), (78, 2), "{stderr}");
    assert!(!stderr.contains("is missing"), "{stderr}");
}

#[test]
fn missing_secrets_are_told_at_their_place_together_with_all_other_mistakes() {
    let scene = Scene::new();
    let path = scene.at("renewd.yaml");
    let text = "accounts:\n  a:\n    provider: kis\n    credentials: { appkey: { env: RENEWD_NO_SUCH_VARIABLE }, appsecret: y }\n    \
                renew: { befor: 1m }\n    sinks: [file: { path: /run/x, template: \"{{ access_token | datetime }}\" }]\n";
    write(&path, text);
    let (exit, stdout, stderr) = scene.check(&[], &path);
    assert_eq!((exit, stdout.as_str()), (78, ""), "{stderr}");
    for words in [
        ":4:28: account `a`, credential `appkey`: the environment variable `RENEWD_NO_SUCH_VARIABLE` is not set",
        ":5:14: unknown key `befor`",
        ":6:64: this cannot be rendered: `datetime` wants a time",
    ] {
        assert!(stderr.contains(&format!("error: {}{words}", path.display())), "{words}\n\nin:\n{stderr}");
    }
    assert_eq!(stderr.matches("error:").count(), 3, "{stderr}");
}

#[test]
fn a_port_without_tls_is_told_as_such_and_no_certificate_is_blamed() {
    let scene = Scene::new();
    let vendor = scene.vendor.try_clone().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = vendor.accept().unwrap();
        let mut hello = [0; 1024];
        let _ = stream.read(&mut hello);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let config = scene.configure("state_dir: HERE/state, socket: off, listen: off", "[]");
    write(&config, &std::fs::read_to_string(&config).unwrap().replace("http://", "https://"));
    let (exit, _, stderr) = scene.check(&["--online"], &config);
    assert_eq!(exit, 1, "{stderr}");
    assert!(
        stderr.contains("the server does not speak TLS on this port") && stderr.contains("hint: "),
        "{stderr}"
    );
    assert!(!stderr.contains("ca_file"), "{stderr}");
}

#[test]
fn without_a_configuration_the_ways_to_one_are_told() {
    for command in ["check", "run", "once", "plan"] {
        let (exit, _, stderr) = run(&[command, "--config", "/nonexistent/renewd.yaml"]);
        assert_eq!(exit, 78);
        assert!(
            stderr.contains("hint: name yours with --config") && stderr.contains("renewd init"),
            "{stderr}"
        );
    }
}

#[test]
fn a_state_directory_that_cannot_be_used_is_told_with_the_key_that_names_it() {
    let scene = Scene::new();
    write(&scene.at("file"), "");
    let config = scene.configure("state_dir: HERE/file/state, socket: off, listen: off", "[]");
    let (exit, _, stderr) = told(renewd(&["once", "--config"]).arg(&config).output().unwrap());
    assert_eq!(exit, 1);
    assert!(stderr.contains("hint: ") && stderr.contains("`agent.state_dir`"), "{stderr}");
}

#[test]
fn the_configuration_is_optional_in_every_usage_line() {
    for (command, usage) in [
        ("token", "Usage: renewd token [OPTIONS] <ACCOUNT>\n"),
        ("renew", "Usage: renewd renew [OPTIONS] <ACCOUNT>...\n       renewd renew [OPTIONS] --all\n"),
        ("simulator", "Usage: renewd simulator [OPTIONS] --listen <ADDR>\n"),
        ("simulate", "Usage: renewd simulate [OPTIONS] --accounts <N> --days <D>\n"),
        ("completions", "Usage: renewd completions [OPTIONS] <SHELL>\n"),
    ] {
        let mut wrong = renewd(&[command, "--socket", "/run/x.sock"]);
        let (exit, _, stderr) = told(wrong.env("RENEWD_CONFIG", "/etc/x.yaml").output().unwrap());
        assert_eq!(exit, 2);
        assert!(stderr.contains(usage), "{stderr}");
    }
}

#[test]
fn a_port_alone_is_shown_as_an_address() {
    let (exit, _, stderr) = run(&["simulator", "--listen", "9999"]);
    assert_eq!(exit, 2);
    assert!(stderr.contains("write `127.0.0.1:9999`"), "{stderr}");
}

#[test]
fn commands_say_which_socket_they_ask_where_the_configuration_does_not_tell() {
    let agent = StubAgent::new(usual);
    let run_in = |words: &[&str], config: &Path| {
        let mut command = renewd(words);
        // The default is the first runtime directory's.
        command.env("RUNTIME_DIRECTORY", agent.folder.path()).arg("--config").arg(config);
        told(command.output().unwrap())
    };
    let broken = agent.folder.path().join("broken.yaml");
    write(&broken, "agent: [\naccounts: {}\n");
    let socket = agent.socket();
    for (config, why) in [
        (broken.as_path(), "has mistakes (`renewd check` tells which)"),
        (Path::new("/nonexistent/renewd.yaml"), "is not there"),
    ] {
        let expected = format!(
            "note: asking at {}, the default, as {} {why}; --socket names another\n",
            socket.display(),
            config.display()
        );
        for command in [&["status"][..], &["token", "messaging"], &["renew", "messaging"]] {
            let (exit, stdout, stderr) = run_in(command, config);
            assert_eq!((exit, stderr.as_str()), (0, expected.as_str()), "{command:?}");
            assert!(!stdout.is_empty());
        }
        assert_eq!(run_in(&["status", "--log-level", "error"], config).2, "");
    }
    assert_eq!(
        agent.run(&["status", "--config", "/nonexistent/renewd.yaml"]).2,
        "",
        "a named socket needs no word"
    );
}

#[test]
fn once_and_wait_say_in_a_line_what_they_came_to_unless_only_errors_are_wanted() {
    let agent = StubAgent::new(usual);
    let told_by_wait = agent.run(&["wait", "messaging"]);
    assert_eq!(told_by_wait, (0, String::new(), "note: 1 account is fresh and delivered\n".to_owned()));
    assert_eq!(agent.run(&["wait", "messaging", "--log-level", "error"]).2, "");

    let scene = Scene::new();
    let path = scene.at("renewd.yaml");
    let (state, run) = (scene.at("state"), scene.at("run.sock"));
    let text = format!(
        "agent: {{ state_dir: {}, socket: {}, log: {{ format: text }} }}\naccounts: {{}}\n",
        state.display(),
        run.display()
    );
    write(&path, &text);
    let once = |words: &[&str]| told(renewd(words).arg("--config").arg(&path).output().unwrap());
    let (exit, stdout, stderr) = once(&["once"]);
    assert_eq!((exit, stdout.as_str()), (0, ""));
    assert!(
        stderr.ends_with("INFO 0 accounts fresh: 0 issued now, 0 still good; delivered to 0 sinks\n"),
        "{stderr}"
    );
    assert_eq!(once(&["once", "--log-level", "error"]), (0, String::new(), String::new()));
}

#[test]
fn check_online_warns_of_two_paths_that_lead_to_one_place() {
    let scene = Scene::new();
    std::fs::create_dir(scene.at("real")).unwrap();
    std::os::unix::fs::symlink("real", scene.at("link")).unwrap();
    let config = scene.configure(
        "state_dir: HERE/state, socket: off, listen: off",
        "[{ file: HERE/real/token }, { file: HERE/link/token }, { file: HERE/link/other }]",
    );
    let (exit, _, stderr) = scene.check(&["--online"], &config);
    let [real, link] = ["real/token", "link/token"].map(|name| scene.at(name).display().to_string());
    assert!(
        stderr.contains(&format!("warning: `{real}` and `{link}` are one and the same place")),
        "{stderr}"
    );
    assert_eq!((exit, stderr.matches("one and the same place").count()), (0, 1), "{stderr}");
}
