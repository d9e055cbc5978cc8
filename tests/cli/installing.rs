//! `renewd install systemd`, below a folder of the test's own.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use super::{renewd, skip, told, write};

const UNIT: &str = "etc/systemd/system/renewd.service";
const CONFIGURATION: &str = "etc/renewd/renewd.yaml";
const ALL: [&str; 5] = [
    "etc/sysusers.d/renewd.conf",
    "etc/tmpfiles.d/renewd.conf",
    UNIT,
    "etc/systemd/system/renewd@.service",
    CONFIGURATION,
];

fn install(root: &Path, more: &[&str]) -> (i32, String, String) {
    told(renewd(&["install", "systemd", "--root"]).arg(root).args(more).output().unwrap())
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_dry_run_shows_every_line_and_writes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (exit, stdout, stderr) = install(root.path(), &["--dry-run"]);
    assert_eq!((exit, stderr.as_str()), (0, ""));
    for path in ALL {
        assert!(stdout.contains(&format!("+ {}", root.path().join(path).display())), "{stdout}");
    }
    for line in
        ["    Type=notify-reload", "    u renewd - ", "    d /etc/renewd/secrets 0750", "    accounts: {}"]
    {
        assert!(stdout.contains(line), "{stdout}");
    }
    assert!(stdout.ends_with("nothing was written\n"), "{stdout}");
    assert_eq!(count(root.path()), 0);
}

#[test]
fn it_writes_what_it_has_shown_and_finds_it_right_the_second_time() {
    let root = tempfile::tempdir().unwrap();
    let (exit, stdout, stderr) = install(root.path(), &[]);
    assert_eq!((exit, stderr.as_str()), (0, ""));
    assert!(stdout.contains("\nnext:\n") && stdout.contains("systemctl enable --now renewd"), "{stdout}");
    assert!(stdout.contains("--systemd 252 --force"), "the way to units for older systemds: {stdout}");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd");
    for (path, text) in
        ALL.iter().zip(["sysusers.conf", "tmpfiles.conf", "renewd.service", "renewd@.service", "renewd.yaml"])
    {
        assert_eq!(read(root.path().join(path)), read(Path::new(source).join(text)), "{path}");
    }
    let mode = |path: &str| std::fs::metadata(root.path().join(path)).unwrap().permissions().mode() & 0o7777;
    let modes = [UNIT, CONFIGURATION, "etc/renewd", "etc/renewd/secrets"].map(mode);
    assert_eq!(modes, [0o644, 0o640, 0o750, 0o750]);
    let (exit, stdout, _) = install(root.path(), &[]);
    assert_eq!(exit, 0);
    assert_eq!(stdout.matches("  as it should be\n").count(), 4, "{stdout}");
    assert!(stdout.contains("renewd.yaml  is there and stays as it is\n"), "{stdout}");
}

#[test]
fn a_changed_file_stays_unless_it_is_forced_and_is_kept_then() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(install(root.path(), &[]).0, 0);
    let (unit, configuration) = (root.path().join(UNIT), root.path().join(CONFIGURATION));
    let shipped = read(unit.clone());
    let mine = shipped.replace("WatchdogSec=60s", "WatchdogSec=5m") + "# mine\n";
    write(&unit, &mine);
    write(&configuration, "accounts: {} # mine\n");
    let other = root.path().join(ALL[0]);
    std::fs::remove_file(&other).unwrap();
    for arguments in [&[][..], &["--dry-run"]] {
        let (exit, stdout, stderr) = install(root.path(), arguments);
        assert!(
            stdout.contains("    - WatchdogSec=5m\n    + WatchdogSec=60s\n    - # mine\n"),
            "the difference and nothing else: {stdout}"
        );
        if arguments.is_empty() {
            assert_eq!(exit, 1);
            assert!(stderr.contains("nothing was written") && stderr.contains("--force"), "{stderr}");
        }
        assert_eq!(read(unit.clone()), mine);
        assert!(!other.exists(), "not even what is missing");
    }
    assert_eq!(install(root.path(), &["--force"]).0, 0);
    assert_eq!(read(unit), shipped);
    assert_eq!(read(root.path().join(format!("{UNIT}.old"))), mine);
    assert_eq!(read(configuration), "accounts: {} # mine\n");
    assert!(other.exists());
}

#[test]
fn an_older_systemd_and_another_program_get_their_own_lines() {
    let root = tempfile::tempdir().unwrap();
    let (exit, _, stderr) =
        install(root.path(), &["--systemd", "252", "--program", "/usr/local/bin/renewd", "--vendor"]);
    assert_eq!(exit, 0, "{stderr}");
    let unit = read(root.path().join("usr/lib/systemd/system/renewd.service"));
    assert!(unit.contains(
        "\nType=notify\nExecReload=/bin/kill -HUP $MAINPID\nExecStart=/usr/local/bin/renewd run\n"
    ));
    assert!(root.path().join("usr/lib/sysusers.d/renewd.conf").exists());
    assert!(root.path().join(CONFIGURATION).exists());
}

#[test]
fn a_packages_unit_is_not_hidden_by_another() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(install(root.path(), &["--vendor"]).0, 0);
    let (exit, _, stderr) = install(root.path(), &[]);
    assert_eq!(exit, 1);
    assert!(
        stderr.contains("a package has installed") && stderr.contains("systemctl edit renewd"),
        "{stderr}"
    );
    assert!(!root.path().join(UNIT).exists());
    assert_eq!(install(root.path(), &["--force"]).0, 0);
    assert!(root.path().join(UNIT).exists());
}

#[test]
fn who_is_not_root_is_told_so_and_may_look() {
    let test = "who_is_not_root_is_told_so_and_may_look";
    // Nobody may not pass the home that the build may be in.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = folder.path().join("renewd");
    std::fs::copy(env!("CARGO_BIN_EXE_renewd"), &program).unwrap();
    let nobody = |program: &Path| {
        let mut command = std::process::Command::new(program);
        if is_root() {
            command.uid(65534).gid(65534);
        }
        command
    };
    if let Err(error) = nobody(&program).arg("--version").output() {
        return skip(test, &format!("nobody may not run {}: {error}", program.display()));
    }
    let by_nobody = |arguments: &[&str]| {
        let mut command = nobody(&program);
        command.args(["install", "systemd", "--systemd", "257", "--program", "/bin/sh"]).args(arguments);
        told(command.output().unwrap())
    };
    let (exit, _, stderr) = by_nobody(&[]);
    assert_eq!(exit, 1);
    assert!(stderr.contains("only root") && stderr.contains("hint: sudo renewd install systemd"), "{stderr}");
    let (exit, stdout, _) = by_nobody(&["--dry-run"]);
    assert_eq!(exit, 0);
    assert!(
        stdout.contains("/renewd.service")
            && stdout.contains("> systemd-sysusers /etc/sysusers.d/renewd.conf")
    );
}

#[test]
fn a_program_that_its_sandbox_hides_is_refused_with_the_way_out() {
    let root = tempfile::tempdir().unwrap();
    let (exit, stdout, stderr) = install(root.path(), &["--program", "/home/me/.cargo/bin/renewd"]);
    assert_eq!((exit, stdout.as_str()), (1, ""));
    assert!(stderr.contains("hides /home") && stderr.contains("/usr/local/bin/renewd"), "{stderr}");
    assert_eq!(count(root.path()), 0);
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
