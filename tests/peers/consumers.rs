//! Hostile values, written into files by templates and read back by those whom the files are for: shells, systemd,
//! JSON and YAML parsers, dotenv, nginx. Whatever reads back, reads back as itself, and what stands after it too.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::string::{RegexGeneratorStrategy, string_regex};
use proptest::test_runner::TestRunner;
use renewd::config::model::TemplateText;
use renewd::domain::{AccountId, Generation, Secret, Timestamp, Token, TokenDocument, TokenMeta};
use renewd::sink::{Escape, Member, compose};

use crate::room::skip;

/// Everything that is special somewhere.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "plain",
    "ab.c~d+/=:@-9",
    "it's",
    "say \"hi\"",
    "it's \"both\"",
    "'",
    "''",
    "\"",
    "$(touch injected)",
    "`touch injected`",
    "$HOME",
    "${HOME}",
    "$$",
    "\\",
    "\\\\",
    "a\\",
    "\\'",
    "\\\"",
    "'\\",
    "\\n",
    "a\\\nb",
    "x\nY=1",
    "x\r\nY=1",
    "\t",
    "a\tb",
    "~",
    "~root",
    "a:~b",
    "a=~",
    "#",
    "a #b",
    "a#b",
    "=",
    "a=b",
    "==",
    ";",
    "a;b",
    "&&",
    "|",
    ">x",
    "<x",
    "*",
    "?",
    "[a]",
    "{a,b}",
    "%n",
    "%",
    "%%B",
    "!",
    "!!",
    "a!b",
    " lead",
    "trail ",
    "  both  ",
    "\u{85}",
    "a\u{2028}b",
    "\u{2029}",
    "\u{feff}bom",
    "{{ x }}",
    "{% x %}",
    "{# x #}",
    "no",
    "yes",
    "on",
    "null",
    "~null",
    "true",
    "1e3",
    "0x1F",
    "0o17",
    "00123",
    "1_000",
    ".inf",
    "2001-01-01",
    "12:30:45",
    "-",
    "- a",
    "-a",
    "--",
    "? a",
    ": ",
    "a: b",
    "a:",
    "&a",
    "*a",
    "!tag",
    "|",
    ">",
    "@a",
    "%YAML",
    "---",
    "...",
    "[",
    "{",
    ",",
    "가나다",
    "é",
    "😀",
    "\u{7f}",
    "\u{1b}[31m",
    "\u{1}",
    "export X=1",
    "X=$(id)",
    "'; touch injected; '",
    "\"; touch injected; \"",
    "$'\\n'",
    "$\"x\"",
    "\\u0041",
    "\\x41",
    "</script>",
    "a\u{a0}b",
];

/// The longest token that a shell, nginx and the rest could stumble over: every printable character.
const TOKEN: &str = r##"!"#$%&'()*+,-./0:;<=>?@A[\]^_`a{|}~"##;

/// The table and some hundreds of strings in which what is special turns up often; the same ones each time.
fn values() -> Vec<String> {
    let printable = r#"[ '"$`\\!#%&*?~=:;<>|(){}\[\],a-cA-C0-9é가😀\u{feff}-]{0,16}"#;
    let any = r#"[ '"$`\\\n\r\ta0\u{0}\u{85}\u{2028}\u{2029}\u{7f}\u{1b}]{0,8}"#;
    let mut runner = TestRunner::deterministic();
    let mut random = |pattern, count| {
        let strategy: RegexGeneratorStrategy<String> = string_regex(pattern).unwrap();
        (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect::<Vec<_>>()
    };
    let random = [random(printable, 500), random(any, 200)].concat();
    HOSTILE.iter().map(|text| (*text).to_owned()).chain(random).collect()
}

/// What a template of the file `name` makes of these values (`accounts.a.extra.values`).
fn made(name: &str, template: &str, values: &[String]) -> Result<String, String> {
    let token = Token {
        meta: TokenMeta {
            generation: Generation(7),
            issued_at: Timestamp::from_secs(1_800_000_000),
            expires_at: Timestamp::from_secs(1_800_003_600),
        },
        access_token: Secret::from(TOKEN),
        token_type: "Bearer".into(),
        extra: vec![("values".into(), serde_json::json!(values))],
    };
    let account = AccountId::new("a").unwrap();
    let document = TokenDocument { account: &account, provider: "p", token: &token };
    let text = TemplateText { source: None, text: template.to_owned() };
    let members = BTreeMap::from([(&account, Member::from(&document))]);
    let content = compose::render(&text, Path::new(name), &members).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(content.to_vec()).unwrap())
}

/// Those values that a file of this kind can hold; the others are refused, with words and without the value.
fn writable(name: &str) -> Vec<String> {
    let escape = Escape::for_path(Path::new(name));
    let (good, bad): (Vec<_>, Vec<_>) = values().into_iter().partition(|value| escape.quote(value).is_ok());
    for value in bad {
        let said = made(name, "\nX={{ accounts.a.extra['values'][0] }}\n", &[value]).unwrap_err();
        assert!(said.contains("line 2") && said.contains("line break or control character"), "{said}");
    }
    good
}

const LINES: &str = "{% for value in accounts.a.extra['values'] %}V{{ loop.index0 }}={{ value }}\n{% endfor %}\
                     TOKEN={{ accounts.a.access_token }}\n";

/// Standard output of a program that is given `input`; `None` where there is no such program.
fn run(program: &str, args: &[&str], folder: &Path, input: &str) -> Option<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).env("HOME", "/home/wrong").env("NODE_PATH", "");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

#[track_caller]
fn same(consumer: &str, read: &[String], values: &[String]) {
    assert_eq!(read.len(), values.len() + 1, "{consumer}");
    for (read, value) in read.iter().zip(values.iter().map(String::as_str).chain([TOKEN])) {
        assert_eq!(read, value, "{consumer}");
    }
}

#[test]
fn shells_read_back_what_env_and_sh_files_hold() {
    let room = room!();
    for name in ["x.env", "x.sh"] {
        let values = writable(name);
        room.write(name, &made(name, LINES, &values).unwrap());
        let script = format!(
            "set -eu; . ./{name}; i=0; while [ $i -lt {} ]; do eval \"printf '%s\\0' \\\"\\$V$i\\\"\"; i=$((i+1)); done; \
             printf '%s\\0' \"$TOKEN\"",
            values.len()
        );
        for shell in [&["sh"][..], &["dash"], &["bash"], &["bash", "--posix"]] {
            let args: Vec<&str> = shell[1..].iter().copied().chain(["-c", &script]).collect();
            let Some(output) = run(shell[0], &args, &room.path(""), "") else {
                skip("shells_read_back_what_env_and_sh_files_hold", &format!("there is no {}", shell[0]));
                continue;
            };
            let read: Vec<String> = output
                .strip_suffix(b"\0")
                .unwrap()
                .split(|byte| *byte == 0)
                .map(|text| String::from_utf8(text.to_vec()).unwrap())
                .collect();
            same(&format!("{shell:?} {name}"), &read, &values);
        }
    }
    assert!(room.read("injected").is_none(), "something was run");
}

/// `EnvironmentFile=` needs a system that systemd has started, so its parser is asked in another way: the fields of
/// `os-release` are read by the same function, and `systemd-tmpfiles` writes them out (`%B` is `BUILD_ID`).
#[test]
fn systemd_reads_back_what_env_files_hold() {
    let room = room!();
    /// A process each.
    const SOME: usize = HOSTILE.len() + 100;
    let works = Command::new("systemd-tmpfiles").arg("--version").stdout(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        return skip("systemd_reads_back_what_env_files_hold", "there is no systemd-tmpfiles");
    }
    let root = room.path("root");
    std::fs::create_dir_all(root.join("etc")).unwrap();
    let conf = room.write("x.conf", "f+ /read 0600 - - - %B\nf+ /after 0600 - - - %w\n");
    let template = "BUILD_ID={{ accounts.a.extra['values'][0] }}\nVERSION_ID=after\n";
    let token = "BUILD_ID={{ accounts.a.access_token }}\nVERSION_ID=after\n";
    let values = writable("x.env");
    for (template, value) in
        values.iter().take(SOME).map(|value| (template, value.clone())).chain([(token, TOKEN.to_owned())])
    {
        room.write("root/etc/os-release", &made("x.env", template, std::slice::from_ref(&value)).unwrap());
        let output = Command::new("systemd-tmpfiles")
            .arg(format!("--root={}", root.display()))
            .arg("--create")
            .arg(&conf)
            .output()
            .unwrap();
        assert!(output.status.success(), "{value:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(room.read("root/read").as_deref(), Some(value.as_str()));
        assert_eq!(room.read("root/after").as_deref(), Some("after"), "{value:?}");
    }
}

#[test]
fn json_parsers_read_back_what_json_files_hold() {
    let room = room!();
    let template = "[{% for value in accounts.a.extra['values'] %}{{ value }}, {% endfor %}{{ accounts.a.access_token }}]";
    let values = writable("x.json");
    room.write("x.json", &made("x.json", template, &values).unwrap());
    let python = "import json; print(json.dumps(json.load(open('x.json', encoding='utf-8'))))";
    let node = "console.log(JSON.stringify(JSON.parse(require('fs').readFileSync('x.json', 'utf8'))))";
    for (program, args) in
        [("jq", vec!["-c", ".", "x.json"]), ("python3", vec!["-c", python]), ("node", vec!["-e", node])]
    {
        match run(program, &args, &room.path(""), "") {
            Some(output) => same(program, &serde_json::from_slice::<Vec<String>>(&output).unwrap(), &values),
            None => skip("json_parsers_read_back_what_json_files_hold", &format!("there is no {program}")),
        }
    }
}

#[test]
fn yaml_parsers_read_back_what_yaml_files_hold() {
    let room = room!();
    let template = "list:\n{% for value in accounts.a.extra['values'] %}- {{ value }}\n{% endfor %}- {{ accounts.a.access_token }}\n";
    let values = writable("x.yaml");
    room.write("x.yaml", &made("x.yaml", template, &values).unwrap());
    let modules = room.peers.join("node_modules");
    let node = |module: &str, call: &str| {
        format!(
            "const yaml = require('{}/{module}'); const text = require('fs').readFileSync('x.yaml', 'utf8'); \
             console.log(JSON.stringify(yaml.{call}(text).list))",
            modules.display()
        )
    };
    let python =
        "import json, yaml; print(json.dumps(yaml.safe_load(open('x.yaml', encoding='utf-8'))['list']))";
    let (yaml, js_yaml) = (node("yaml", "parse"), node("js-yaml", "load"));
    let has_python = Command::new("python3").args(["-c", "import yaml"]).stderr(Stdio::null()).status();
    let has_python = has_python.is_ok_and(|status| status.success());
    if !has_python {
        skip("yaml_parsers_read_back_what_yaml_files_hold", "there is no Python with PyYAML");
    }
    for (program, script, name) in
        [("python3", python, "PyYAML"), ("node", yaml.as_str(), "yaml"), ("node", &js_yaml, "js-yaml")]
    {
        let flag = if program == "node" { "-e" } else { "-c" };
        if name == "PyYAML" && !has_python {
            continue;
        }
        let output = run(program, &[flag, script], &room.path(""), "").unwrap();
        same(name, &serde_json::from_slice::<Vec<String>>(&output).unwrap(), &values);
    }
}

/// What docs/templates.md says of dotenv: a value comes back otherwise where it holds a single quote and a character
/// that is special between double ones, but what stands after it comes back.
#[test]
fn dotenv_reads_back_what_the_documentation_says_it_does() {
    let room = room!();
    let values = writable("x.env");
    let template = "V={{ accounts.a.extra['values'][0] }}\nAFTER={{ 'the end' }}\n";
    let files: Vec<String> =
        values.iter().map(|value| made("x.env", template, std::slice::from_ref(value)).unwrap()).collect();
    let script = format!(
        "const dotenv = require('{}/dotenv'); const files = JSON.parse(require('fs').readFileSync(0, 'utf8')); \
         const read = (file) => {{ const found = dotenv.parse(file); return [found.V ?? '', found.AFTER ?? ''] }}; \
         console.log(JSON.stringify(files.map(read)))",
        room.peers.join("node_modules").display()
    );
    let output =
        run("node", &["-e", &script], &room.path(""), &serde_json::to_string(&files).unwrap()).unwrap();
    let read: Vec<[String; 2]> = serde_json::from_slice(&output).unwrap();
    let mut survived = 0;
    for ((value, [found, after]), file) in values.iter().zip(read).zip(files) {
        let is_mixed = value.contains('\'') && value.contains(['"', '\\', '$', '`']);
        assert_eq!(after, "the end", "{file:?}");
        if is_mixed {
            continue;
        }
        assert_eq!(&found, value, "{file:?}");
        survived += 1;
    }
    assert!(survived > 400, "{survived} of {}", values.len());
}

/// nginx has no way to escape a `$`, so the template that docs/uses/nginx.md shows puts a variable in its place.
#[test]
fn nginx_sends_the_token_that_a_conf_file_holds() {
    let room = room!();
    let nginx = ["nginx", "/usr/sbin/nginx"].into_iter().find(|name| {
        Command::new(name).arg("-v").stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    });
    let Some(nginx) = nginx else {
        return skip("nginx_sends_the_token_that_a_conf_file_holds", "there is no nginx");
    };
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/uses/nginx.md")).unwrap();
    let template = page
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("proxy_set_header Authorization {{"))
        .unwrap();
    let template = template.replace("access_token", "accounts.a.access_token");
    room.write("token.conf", &made("token.conf", &template, &[]).unwrap());
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = room.path("");
    let conf = format!(
        "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log; events {{}} \
         http {{ access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/f; \
         uwsgi_temp_path {0}/u; scgi_temp_path {0}/s; geo $dollar {{ default \"$\"; }} \
         server {{ listen {free}; location / {{ include {0}/token.conf; proxy_pass http://{1}; }} }} }}",
        folder.display(),
        upstream.local_addr().unwrap()
    );
    let conf = room.write("nginx.conf", &conf);
    let mut child =
        Command::new(nginx).arg("-p").arg(&folder).arg("-c").arg(conf).stderr(Stdio::null()).spawn().unwrap();
    let request = std::thread::spawn(move || {
        let mut client =
            crate::wait("nginx listens", crate::secs(10), || std::net::TcpStream::connect(free).ok());
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut client, &mut answer).unwrap();
    });
    let (mut stream, _) = upstream.accept().unwrap();
    let mut head = Vec::new();
    let mut lines = std::io::BufRead::split(std::io::BufReader::new(stream.try_clone().unwrap()), b'\n');
    while let Some(line) = lines.next().transpose().unwrap().filter(|line| line != b"\r") {
        head.push(String::from_utf8(line).unwrap());
    }
    stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    drop(stream);
    request.join().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let expected = format!("Authorization: Bearer {TOKEN}\r");
    assert!(head.contains(&expected), "{head:#?}");
}
