//! Every file in `examples/` is valid for the version that it came with.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use std::path::{Path, PathBuf};

/// Warnings that a file is there to show: its name and words of the warning.
const SHOWN: &[(&str, &str)] = &[("bind-mounted-file.yaml", "in-place")];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
            found.push(path);
        }
    }
}

#[test]
fn every_example_loads_without_a_problem_and_without_a_warning_that_it_does_not_mean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut found = Vec::new();
    files(&root, &mut found);
    found.sort();
    let mut loaded = 0;
    let mut complaints = Vec::new();
    for path in &found {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.strip_prefix(&root).unwrap().display();
        // Fragments are included by others; what begins with `apiVersion` is Kubernetes'.
        if text.lines().next().is_some_and(|line| line.trim() == "# fragment") || is_manifest(&text) {
            continue;
        }
        loaded += 1;
        match renewd::config::load(
            path,
            &|_| None,
            renewd::provider::catalog::texts(),
            &renewd::sink::trial::attempt,
        ) {
            Err(problems) => complaints.push(format!("{name}:\n{problems}")),
            Ok(config) => {
                let meant = |message: &str| {
                    SHOWN.iter().any(|(file, words)| path.ends_with(file) && message.contains(words))
                };
                let doubtful = config.warnings.iter().filter(|warning| !meant(&warning.message));
                complaints.extend(doubtful.map(|warning| format!("{name}: {warning}")));
                if config.config.accounts.is_empty() {
                    complaints.push(format!("{name}: it has no accounts"));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(loaded >= 15, "{loaded} examples");
}

#[test]
fn every_built_in_vendor_has_an_example_that_uses_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/vendors");
    for (name, _) in renewd::provider::catalog::texts() {
        let path = folder.join(format!("{name}.yaml"));
        let loaded = renewd::config::load(
            &path,
            &|_| None,
            renewd::provider::catalog::texts(),
            &renewd::sink::trial::attempt,
        );
        let accounts = loaded.unwrap().config.accounts;
        assert!(accounts.values().any(|account| account.provider.name == *name), "{name}");
    }
}

fn is_manifest(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("apiVersion:"))
}
