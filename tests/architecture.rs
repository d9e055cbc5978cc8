//! Who may import whom, what the core may not touch, how long a file may be: house.md, held by a machine.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// For each module the paths of this crate that it may use beside its own; `*` is everything but `cli`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("atomic", &[]),
    ("domain", &[]),
    ("patience", &[]),
    ("tls", &["patience"]),
    ("simulator", &["domain"]),
    ("config", &["domain"]),
    ("core", &["domain", "config::model", "config::definition"]),
    ("provider", &["domain", "patience", "tls", "config::model", "config::definition"]),
    ("secrets", &["domain", "patience", "config::model", "config::definition"]),
    ("sink", &["domain", "config::model", "config::definition", "atomic"]),
    ("hook", &["domain", "tls", "config::model"]),
    ("kubernetes", &["domain", "config::model"]),
    ("store", &["domain", "atomic"]),
    ("vault", &["domain", "patience", "tls", "config::model"]),
    ("observe", &["domain", "core"]),
    ("page", &["domain", "observe"]),
    ("runtime", &["*"]),
    ("cli", &["*", "cli"]),
];

/// What the core must not know: it decides, and the same events at the same instants always mean the same.
const NOT_IN_CORE: &[&str] = &[
    "async",
    ".await",
    "tokio",
    "std::fs",
    "std::net",
    "std::io",
    "std::thread",
    "std::process",
    "SystemTime",
    "Instant::now",
    "::now()",
    "rand::",
    "ring::",
    "tracing",
    "println!",
    "domain::Secret",
    ".expose()",
    "rustix",
    "reqwest",
    "std::env",
];

/// No file is longer, tests included, but for these.
const LONGEST: usize = 400;
const LONGER: &[(&str, &str)] = &[];

/// The non-test part of each source file below `src`, with its path from the root.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    walk(&root.join("src"), &mut found);
    found.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    found.into_iter().map(read).collect()
}

/// The sources without those that are for tests alone.
fn product() -> Vec<(String, String)> {
    let all = sources();
    let tests = test_modules(&all);
    all.into_iter().filter(|(name, _)| !is_test_file(name, &tests)).collect()
}

/// The lines of code: without comments, and without the test module that ends a file.
fn code(text: &str) -> String {
    let mut kept = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let next = lines.next().unwrap_or_default();
            if next.trim_end().ends_with('{') && next.starts_with("mod ") {
                break; // tests stand at the bottom
            }
            continue; // `mod tests;` in a file of its own
        }
        if !line.trim_start().starts_with("//") {
            kept.push(line);
        }
    }
    kept.join("\n")
}

/// Whether a file is compiled for tests alone: some `#[cfg(test)] mod NAME;` above it says so.
fn is_test_file(name: &str, tests: &BTreeSet<String>) -> bool {
    tests.iter().any(|module| name == format!("{module}.rs") || name.starts_with(&format!("{module}/")))
}

/// Paths without ending of modules that are for tests alone.
fn test_modules(sources: &[(String, String)]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, text) in sources {
        let home = match name.strip_suffix("/mod.rs").or_else(|| name.strip_suffix("/lib.rs")) {
            Some(folder) => folder,
            None => name.trim_end_matches(".rs"),
        };
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let module = pair[1].trim_start_matches("pub(crate) ").strip_prefix("mod ");
            if let (true, Some(module)) =
                (pair[0] == "#[cfg(test)]", module.and_then(|rest| rest.strip_suffix(';')))
            {
                found.insert(format!("{home}/{module}"));
            }
        }
    }
    found
}

fn module_of(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("src/")?;
    let (module, _) = rest.split_once('/')?;
    Some(module)
}

/// Every `crate::a::b` in the code, `crate::{a, b::c}` taken apart.
fn uses(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let end = list.find(|c| {
                depth += match c {
                    '{' => 1,
                    '}' => -1,
                    _ => 0,
                };
                depth < 0
            });
            let mut depth = 0;
            let mut item = String::new();
            for c in list[..end.unwrap_or(list.len())].chars().chain([',']) {
                match c {
                    ',' if depth == 0 => {
                        found.insert(path(item.trim()));
                        item.clear();
                    }
                    _ => {
                        depth += i32::from(c == '{') - i32::from(c == '}');
                        item.push(c);
                    }
                }
            }
        } else {
            found.insert(path(rest));
        }
    }
    found.remove("");
    found
}

/// The first two names of a path.
fn path(text: &str) -> String {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let names: Vec<&str> = text[..end].split("::").filter(|name| !name.is_empty()).take(2).collect();
    names.join("::")
}

#[test]
fn modules_use_only_what_they_may() {
    let mut broken = Vec::new();
    for (name, text) in product() {
        let Some(module) = module_of(&name) else { continue };
        let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == module) else {
            broken.push(format!("{name}: who may import whom is not said for `{module}`"));
            continue;
        };
        for used in uses(&code(&text)) {
            let first = used.split("::").next().unwrap_or_default();
            let permitted = first == module
                || allowed.iter().any(|allowed| match *allowed {
                    "*" => first != "cli",
                    allowed => {
                        used == allowed || used.starts_with(&format!("{allowed}::")) || first == allowed
                    }
                });
            if !permitted {
                broken.push(format!("{name}: uses crate::{used}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_module_of_the_crate_is_in_the_map() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let folders: BTreeSet<String> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let known: BTreeSet<String> = MAY_USE.iter().map(|(module, _)| (*module).to_owned()).collect();
    assert_eq!(folders, known);
}

#[test]
fn the_core_is_pure() {
    let mut broken = Vec::new();
    for (name, text) in product().iter().filter(|(name, _)| name.starts_with("src/core/")) {
        for (number, line) in code(text).lines().enumerate() {
            for word in NOT_IN_CORE.iter().filter(|word| line.contains(**word)) {
                broken.push(format!("{name}: `{word}` near line {}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_simulator_is_no_part_of_what_the_agent_relies_on() {
    let reaches = |(name, text): &(String, String)| {
        let module = module_of(name)?;
        let uses = uses(&code(text)).iter().any(|used| used.starts_with("simulator"));
        (uses && !matches!(module, "simulator" | "cli")).then(|| name.clone())
    };
    let found: Vec<String> = product().iter().filter_map(reaches).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn clocks_processes_and_whole_file_writes_have_one_room_each() {
    let rooms = [
        ("SystemTime::now", &["src/runtime/clock.rs"][..]),
        ("Instant::now", &["src/runtime/clock.rs"]),
        ("clock_gettime", &["src/runtime/clock.rs"]),
        ("Timestamp::now", &["src/runtime/clock.rs", "src/simulator/clock.rs"]),
        ("Zoned::now", &[]),
        ("fs::write(", &[]),
        ("process::exit(", &[]),
        ("unsafe ", &[]),
    ];
    let mut broken = Vec::new();
    for (name, text) in &product() {
        let code = code(text);
        for (word, allowed) in rooms {
            if code.contains(word) && !allowed.contains(&name.as_str()) {
                broken.push(format!("{name}: `{word}`"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn files_are_of_a_size_to_read() {
    let mut broken = Vec::new();
    for (name, text) in sources() {
        let lines = text.lines().count();
        let excused = LONGER.iter().any(|(known, _)| *known == name);
        if lines > LONGEST && !excused {
            broken.push(format!("{name}: {lines} lines"));
        }
        if lines <= LONGEST && excused {
            broken.push(format!("{name}: needs no excuse any more"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_exception_from_a_lint_has_a_reason() {
    let mut broken = Vec::new();
    for (name, text) in sources() {
        for start in ["#[expect(", "#![expect(", "#[allow(", "#![allow("] {
            for (at, _) in text.match_indices(start) {
                let attribute = &text[at..text[at..].find(")]").map_or(text.len(), |end| at + end)];
                if !attribute.contains("reason = \"") || start.contains("allow") {
                    let line = text[..at].lines().count();
                    broken.push(format!("{name}:{line}: {}", attribute.lines().next().unwrap_or_default()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "use `expect` with a reason:\n{}", broken.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    let documented = |text: &str| text.starts_with("//!");
    let roots = sources().into_iter().filter(|(name, _)| {
        let parts: Vec<&str> = name.split('/').collect();
        matches!(parts.as_slice(), ["src", _, "mod.rs"] | ["src", "lib.rs"])
    });
    let silent: Vec<String> = roots.filter(|(_, text)| !documented(text)).map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "{silent:?}");
}
