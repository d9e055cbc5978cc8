//! The units of `deploy/systemd`, as systemd's own tools see them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{renewd, skip, told, write};

/// systemd's own measure of how open a service is, from 0 to 10.
const MOST_EXPOSED: f64 = 1.2;

/// A folder with the units as they are installed for this machine's systemd, with programs that are there; `None` where
/// there is no `systemd-analyze`: the test is then noted as skipped.
fn units(test: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let Some(version) = version() else {
        skip(test, "there is no systemd-analyze");
        return None;
    };
    let root = tempfile::tempdir().unwrap();
    let (exit, _, stderr) = told(
        renewd(&[
            "install",
            "systemd",
            "--systemd",
            &version.to_string(),
            "--program",
            "/bin/true",
            "--root",
        ])
        .arg(root.path())
        .output()
        .unwrap(),
    );
    assert_eq!(exit, 0, "{stderr}");
    let folder = root.path().join("etc/systemd/system");
    Some((root, folder))
}

/// Runs a tool on a unit file; what it says on both ways out.
fn analyze(arguments: &[&str], unit: &Path) -> String {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(unit).env("SYSTEMD_PAGER", "").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    let Output { stdout, stderr, .. } = command.output().unwrap();
    String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr)
}

fn deployed(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd").join(folder);
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn the_units_are_hardened_to_an_exposure_of_1_2_at_most() {
    let Some((_root, folder)) = units("the_units_are_hardened_to_an_exposure_of_1_2_at_most") else { return };
    for unit in ["renewd.service", "renewd@.service"] {
        let said = analyze(&["security", "--offline=true", "--no-pager"], &folder.join(unit));
        let level = said.split("Overall exposure level for ").nth(1).and_then(|rest| rest.split(": ").nth(1));
        let level: f64 = level.and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
        assert!(level <= MOST_EXPOSED, "{unit}: {level}\n{said}");
    }
}

/// Its exit status is 0 for a misspelt key: whatever it says is a fault.
#[test]
fn systemd_has_nothing_to_say_against_the_units() {
    let Some((_root, folder)) = units("systemd_has_nothing_to_say_against_the_units") else { return };
    let verify = |unit: &Path| analyze(&["verify", "--man=no"], unit);
    for unit in ["renewd.service", "renewd@.service"] {
        assert_eq!(verify(&folder.join(unit)), "", "{unit}");
    }
    // It does find something where there is something.
    write(&folder.join("wrong.service"), "[Service]\nExecStart=/bin/true\nWatchdgSec=1\n");
    assert!(verify(&folder.join("wrong.service")).contains("WatchdgSec"));
    let drop_ins = folder.join("renewd.service.d");
    std::fs::create_dir(&drop_ins).unwrap();
    let mut tried = 0;
    for path in deployed("drop-ins") {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".conf") && !name.ends_with(".tmpfiles.conf") {
            std::fs::copy(&path, drop_ins.join(name)).unwrap();
            assert_eq!(verify(&folder.join("renewd.service")), "", "{name}");
            std::fs::remove_file(drop_ins.join(name)).unwrap();
            tried += 1;
        }
    }
    let consumers = deployed("consumers");
    for path in &consumers {
        let text = std::fs::read_to_string(path).unwrap().replace("/usr/bin/app", "/bin/true");
        write(&folder.join(path.file_name().unwrap()), &text);
    }
    for path in &consumers {
        assert_eq!(verify(&folder.join(path.file_name().unwrap())), "", "{}", path.display());
    }
    assert!(tried >= 8 && consumers.len() >= 8, "{tried} {}", consumers.len());
}

#[test]
fn each_drop_in_and_consumer_is_on_the_page_about_systemd() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/systemd.md")).unwrap();
    for path in deployed("drop-ins").into_iter().chain(deployed("consumers")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(page.contains(name), "{name}");
    }
}

/// `systemd 252 (252.38-1~deb12u1)`.
fn version() -> Option<u32> {
    let output = Command::new("systemd-analyze").arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = text.strip_prefix("systemd ")?.split_whitespace().next()?;
    word.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}
