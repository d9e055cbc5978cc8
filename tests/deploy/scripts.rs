//! What a script cannot have it says by name and skips; with `CI=true` it fails, and nothing that was to be tried is left out in
//! silence.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Enough to begin with, and nothing that is looked for: no `unshare`, no Chromium, no `apt-get`.
const BASIC: [&str; 9] = ["env", "bash", "dirname", "realpath", "id", "mkdir", "cat", "find", "sort"];

/// Runs a script of a folder, with the basic programs only.
fn run(folder: &Path, tools: &Path, script: &[&str], ci: bool) -> Output {
    let mut command = Command::new("bash");
    command.current_dir(folder).args(script).stdin(Stdio::null());
    command.env_clear().env("PATH", tools).env("RENEWD", env!("CARGO_BIN_EXE_renewd"));
    if ci {
        command.env("CI", "true");
    }
    command.output().unwrap()
}

/// The repository.
fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder of links to the basic programs. Python is the program itself: what is found first may be a script that needs others.
fn basic() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for name in BASIC {
        let program =
            std::env::split_paths(&path).map(|at| at.join(name)).find(|file| file.is_file()).unwrap();
        symlink(program, folder.path().join(name)).unwrap();
    }
    let python = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    symlink(String::from_utf8(python.stdout).unwrap().trim(), folder.path().join("python3")).unwrap();
    folder
}

/// Outside CI it ends well and says what is left out and why; with `CI=true` it fails and says the same.
#[track_caller]
fn skips_by_name(script: &[&str], what: &str) {
    let tools = basic();
    for ci in [false, true] {
        let output = run(here(), tools.path(), script, ci);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), !ci, "{script:?} with CI {ci}: {said}");
        let word = if ci { "FAILED: " } else { "skipped: " };
        assert!(said.contains(word) && said.contains(what), "{script:?} with CI {ci}: {said}");
    }
}

#[test]
fn the_units_trial_skips_by_name_and_fails_in_ci() {
    skips_by_name(&["scripts/systemd", "here", "short"], "units under systemd");
}

#[test]
fn the_packages_trial_skips_by_name_and_fails_in_ci() {
    let tools = basic();
    let packages = tempfile::tempdir().unwrap();
    for name in ["renewd_1_amd64.deb", "renewd_1~deb12_amd64.deb"] {
        std::fs::write(packages.path().join(name), "").unwrap();
    }
    let folder = packages.path().to_str().unwrap();
    for ci in [false, true] {
        let output = run(here(), tools.path(), &["scripts/package-test", "all", folder], ci);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), !ci, "CI {ci}: {said}");
        assert!(
            said.contains("the packages' life") && said.contains("there is no unshare"),
            "CI {ci}: {said}"
        );
    }
}

#[test]
fn the_trial_of_the_alert_rules_skips_by_name_and_fails_in_ci() {
    let tools = basic();
    // A copy, where nobody has fetched the programs before.
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(copy.path().join("scripts/monitoring")).unwrap();
    let helpers =
        std::fs::read_dir(here().join("scripts/monitoring")).unwrap().map(|entry| entry.unwrap().path());
    for file in helpers.filter(|file| file.is_file()).chain([here().join("scripts/prometheus")]) {
        std::fs::copy(&file, copy.path().join(file.strip_prefix(here()).unwrap())).unwrap();
    }
    for (words, ci) in [("", false), ("", true), (" --tools", false)] {
        let script = format!("exec python3 scripts/prometheus{words}");
        let output = run(copy.path(), tools.path(), &["-c", &script], ci);
        let said = String::from_utf8_lossy(&output.stderr);
        // Who asks for the programs must hear that there are none.
        let skipped = !ci && words.is_empty();
        assert_eq!(output.status.success(), skipped, "{script} with CI {ci}: {said}");
        assert!(
            said.contains(if skipped { "skipped: " } else { "FAILED: " }),
            "{script} with CI {ci}: {said}"
        );
        assert!(said.contains("Prometheus is not installed"), "{script} with CI {ci}: {said}");
    }
}

#[test]
fn the_pictures_of_the_page_skip_by_name_and_fail_in_ci() {
    let folder = tempfile::tempdir().unwrap();
    skips_by_name(&["scripts/page", folder.path().to_str().unwrap()], "pictures of the status page");
}

/// In a folder without git (a released archive) each page is still looked at.
#[test]
fn links_are_checked_without_git() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("scripts")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check-links");
    std::fs::copy(script, folder.path().join("scripts/check-links")).unwrap();
    let check = || {
        Command::new("scripts/check-links").current_dir(folder.path()).stdin(Stdio::null()).output().unwrap()
    };
    assert!(!check().status.success(), "nothing to look at is no success");
    std::fs::write(folder.path().join("a.md"), "[there](#a)\n# A\n").unwrap();
    assert!(check().status.success());
    std::fs::write(folder.path().join("a.md"), "[gone](b.md)\n").unwrap();
    let output = check();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("no such file: b.md"));
}
