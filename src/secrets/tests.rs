use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use super::*;

fn none(_: &str) -> Option<OsString> {
    None
}

fn write(path: &Path, content: &[u8]) {
    std::io::Write::write_all(&mut std::fs::File::create(path).unwrap(), content).unwrap();
}

async fn text(source: &SecretSource) -> Result<String, String> {
    let resolved = resolve(source, &process_environment).await;
    resolved.map(|secret| secret.expose().to_owned()).map_err(|error| error.to_string())
}

fn shell(script: &str) -> SecretSource {
    SecretSource::Command(["sh", "-c", script].map(str::to_owned).to_vec())
}

#[test]
fn resolving_may_move_between_threads() {
    fn sent<T: Send>(_: T) {}
    let source = SecretSource::Inline("x".into());
    sent(resolve(&source, &process_environment));
}

#[tokio::test]
async fn one_trailing_newline_of_a_file_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let line_break = "holds a control character, such as a line break";
    let cases: [(&[u8], Result<&str, &str>); 9] = [
        (b"hunter2", Ok("hunter2")),
        (b"hunter2\n", Ok("hunter2")),
        (b"hunter2\r\n", Ok("hunter2")),
        ("비밀번호 한 줄\n".as_bytes(), Ok("비밀번호 한 줄")),
        (b"hunter2\n\n", Err(line_break)),
        (b"one\ntwo", Err(line_break)),
        (b"\n", Err("is empty")),
        (b"\xff\xfe", Err("is not UTF-8 text")),
        (b"\xef\xbb\xbfhunter2", Err("begins with a byte order mark")),
    ];
    for (content, expected) in cases {
        write(&path, content);
        let expected = match expected {
            Ok(text) => Ok(text.to_owned()),
            Err(problem) => Err(format!("the secret file `{}` {problem}", path.display())),
        };
        assert_eq!(text(&SecretSource::File(path.clone())).await, expected);
    }
}

#[tokio::test]
async fn a_secret_may_be_64_kib_long_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    for (length, fits) in [(LARGEST, true), (LARGEST + 1, false), (LARGEST * 4, false)] {
        for end in ["", "\n", "\r\n"] {
            write(&path, format!("{}{end}", "x".repeat(length)).as_bytes());
            let read = text(&SecretSource::File(path.clone())).await;
            assert_eq!(read.as_ref().map(String::len).ok(), fits.then_some(length));
            let printed = text(&shell(&format!("cat {}", path.display()))).await;
            assert_eq!(printed.is_ok(), fits, "{end:?}");
        }
    }
}

#[tokio::test]
async fn what_is_not_a_file_is_named_and_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("folder")).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    symlink("ring", at("ring")).unwrap();
    let cases = [
        ("folder", "is a folder"),
        ("fifo", "is a FIFO"),
        ("socket", "is a socket"),
        ("absent", "is missing"),
        ("fifo/below", "is missing"),
        ("ring", "cannot be read: too many levels of symbolic links"),
    ];
    for (name, problem) in cases {
        let expected = format!("the secret file `{}` {problem}", at(name).display());
        assert_eq!(text(&SecretSource::File(at(name))).await, Err(expected));
    }
    assert!(text(&SecretSource::File("/dev/null".into())).await.unwrap_err().ends_with("is empty"));
    assert!(
        text(&SecretSource::File("/dev/zero".into())).await.unwrap_err().ends_with("is larger than 64 KiB")
    );
}

#[tokio::test]
async fn variables_are_taken_as_they_are() {
    let environment = |name: &str| match name {
        "GOOD" => Some("pass word".into()),
        "EMPTY" => Some("".into()),
        "NEWLINE" => Some("secret\n".into()),
        _ => None,
    };
    let get = |name: &str| SecretSource::Env(name.into());
    assert_eq!(resolve(&get("GOOD"), &environment).await.unwrap().expose(), "pass word");
    for (name, problem) in
        [("EMPTY", Problem::Empty), ("NEWLINE", Problem::ControlCharacter), ("ABSENT", Problem::NotSet)]
    {
        let error = resolve(&get(name), &environment).await.unwrap_err();
        assert_eq!((error.problem, error.place.clone()), (problem, Place::Variable(name.into())));
        assert!(!format!("{error:?} {error}").contains("secret"));
    }
    assert!(resolve(&SecretSource::Inline("".into()), &none).await.is_err());
    assert_eq!(resolve(&SecretSource::Inline("x".into()), &none).await.unwrap().expose(), "x");
}

#[tokio::test]
async fn credentials_are_files_of_systemds_directory() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("api"), b"from systemd\n");
    let path = folder.path().to_owned();
    let environment = move |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| path.clone().into());
    let get = |name: &str| SecretSource::Credential(name.into());
    assert_eq!(resolve(&get("api"), &environment).await.unwrap().expose(), "from systemd");
    assert_eq!(watch_paths(&get("api"), &environment), [folder.path().join("api")]);
    let missing = resolve(&get("other"), &environment).await.unwrap_err();
    assert_eq!(missing.to_string(), "the systemd credential `other` is missing");
    assert!(missing.hint().unwrap().contains("LoadCredential="));
    for name in ["", "..", "../api", "/etc/passwd"] {
        let problem = resolve(&get(name), &environment).await.unwrap_err().problem;
        assert_eq!(problem, Problem::BadCredentialName);
    }
    assert_eq!(resolve(&get("api"), &none).await.unwrap_err().problem, Problem::NoCredentials);
}

#[tokio::test]
async fn a_commands_output_is_the_secret() {
    assert_eq!(text(&shell("echo hunter2")).await.unwrap(), "hunter2");
    let error = text(&shell("echo hunter2; echo hunter2 >&2; exit 3")).await.unwrap_err();
    assert_eq!(error, "the secret's command `sh` ended with status 3");
    assert_eq!(
        text(&shell("kill -9 $$")).await.unwrap_err(),
        "the secret's command `sh` was killed by signal 9"
    );
    let absent = SecretSource::Command(vec!["/no/such/program".into()]);
    let error = resolve(&absent, &none).await.unwrap_err();
    assert!(error.to_string().ends_with("cannot be started: no such file or directory"), "{error}");
    assert!(resolve(&SecretSource::Command(Vec::new()), &none).await.is_err());
    assert!(text(&shell("yes")).await.unwrap_err().ends_with("is larger than 64 KiB"));
}

#[tokio::test]
async fn a_command_gets_no_environment_input_or_shell() {
    let environment = |name: &str| match name {
        "PATH" => std::env::var_os("PATH"),
        "HOME" => Some("/home/of/agent".into()),
        "TOKEN" => Some("must not be seen".into()),
        _ => None,
    };
    let printed =
        resolve(&shell("env | grep -v ^PWD= | grep -v ^_= | sort | tr '\\n' ' '"), &environment).await;
    let printed = printed.unwrap().expose().to_owned();
    assert!(printed.starts_with("HOME=/home/of/agent PATH="), "{printed}");
    assert!(!printed.contains("TOKEN"));
    assert_eq!(text(&shell("cat; echo end")).await.unwrap(), "end");
    let literal = SecretSource::Command(["echo", "$HOME;", "`id`"].map(str::to_owned).to_vec());
    assert_eq!(text(&literal).await.unwrap(), "$HOME; `id`");
}

#[tokio::test]
async fn a_late_command_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = format!("sleep 300 & echo $$ $! > {}; wait", pids.display());
    let argv = ["sh".to_owned(), "-c".to_owned(), script];
    let result = command::run(&argv, &process_environment, Duration::from_millis(500)).await;
    assert_eq!(result.unwrap_err(), Problem::TooSlow);
    let pids = std::fs::read_to_string(pids).unwrap();
    let running = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    for _ in 0..200 {
        if !pids.split_whitespace().any(running) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still running: {pids}");
}

#[test]
fn a_version_changes_with_whatever_may_change_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let source = SecretSource::File(at("secret"));
    let mut seen = vec![version(&source, &none)];
    assert_eq!(seen, [SourceVersion::Missing]);
    let mut look = |what: &str| {
        let now = version(&source, &none);
        assert_eq!(now, version(&source, &none));
        assert!(!seen.contains(&now), "{what}");
        seen.push(now);
    };
    write(&at("secret"), b"one");
    look("made");
    write(&at("new"), b"two");
    std::fs::rename(at("new"), at("secret")).unwrap();
    look("renamed over");
    // As Kubernetes mounts a Secret: secret -> ..data/secret, ..data -> ..2026
    for (data, content) in [("..2026", "three"), ("..2027", "four5")] {
        std::fs::create_dir(at(data)).unwrap();
        write(&at(data).join("secret"), content.as_bytes());
        symlink(data, at("..tmp")).unwrap();
        std::fs::rename(at("..tmp"), at("..data")).unwrap();
        if data == "..2026" {
            std::fs::remove_file(at("secret")).unwrap();
            symlink("..data/secret", at("secret")).unwrap();
        }
        look(data);
    }
    for constant in [SecretSource::Inline("x".into()), SecretSource::Env("X".into()), shell("x")] {
        assert_eq!(version(&constant, &none), SourceVersion::Constant);
        assert_eq!(watch_paths(&constant, &none), [] as [PathBuf; 0]);
    }
}

#[test]
fn a_file_that_every_user_can_read_or_write_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    write(&path, b"x");
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let source = SecretSource::File(path.clone());
    mode(&path, 0o644);
    mode(folder.path(), 0o700);
    assert_eq!(warning(&source, &none), None, "nobody gets to it");
    mode(folder.path(), 0o711);
    assert_eq!(warning(&source, &none), Some(SecretWarning::WorldReadable(path.clone())));
    mode(&path, 0o602);
    assert_eq!(warning(&source, &none), Some(SecretWarning::WorldWritable(path.clone())));
    mode(&path, 0o640);
    assert_eq!(warning(&source, &none), None);
    let inner = folder.path().join("folder");
    std::fs::create_dir(&inner).unwrap();
    mode(&inner, 0o755);
    assert_eq!(warning(&SecretSource::File(inner), &none), None, "what is wrong there is another thing");
}
