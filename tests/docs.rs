//! What the documentation shows is valid, and what is generated is what the code says.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The READMEs and every page below `docs/`.
fn pages() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    let mut found = vec![root().join("README.md"), root().join("README.ko.md")];
    walk(&root().join("docs"), &mut found);
    found.sort();
    found
}

/// Fenced blocks: the words behind the fence, the first line's number, the text.
fn blocks(page: &str) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), open.as_mut()) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(words), None) => open = Some((words.trim().to_owned(), number + 2, String::new())),
            (None, Some((_, _, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

#[test]
fn every_whole_configuration_in_the_documentation_loads() {
    let (mut loaded, mut complaints) = (0, Vec::new());
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for (words, line, block) in blocks(&text) {
            let key = |name: &str| block.lines().any(|line| line.starts_with(name));
            // Marked as a part, or a part by its looks: no key of the main file, or none of its own at all.
            if words != "yaml" || !(key("accounts:") || key("providers:")) {
                continue;
            }
            let mut whole = block.clone();
            if !key("accounts:") {
                whole.push_str("accounts: {}\n");
            }
            let is_begun = !key("accounts:") && !block.contains("issue:");
            if is_begun {
                continue; // the beginning of a definition that the page goes on with
            }
            loaded += 1;
            let name = format!("{}:{line}", page.strip_prefix(root()).unwrap().display());
            let path = root().join("examples/renewd.yaml"); // what `include` is relative to
            match renewd::config::load_text(&path, &whole, &|_| None, renewd::provider::catalog::texts()) {
                Err(problems) => complaints.extend(
                    // That page's providers come to be over several blocks.
                    problems
                        .0
                        .iter()
                        .filter(|problem| {
                            !(page.ends_with("writing-a-provider.md")
                                && problem.message.starts_with("unknown provider"))
                        })
                        .map(|problem| format!("{name}: {problem}")),
                ),
                Ok(config) => {
                    complaints.extend(config.warnings.iter().map(|warning| format!("{name}: {warning}")))
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(loaded >= 4, "{loaded} blocks");
}

#[test]
fn the_walk_through_of_a_provider_joins_into_the_file_that_it_ends_with() {
    let page = std::fs::read_to_string(root().join("docs/writing-a-provider.md")).unwrap();
    let walk = page.split("## A walk through").nth(1).unwrap().split("## Trying it").next().unwrap();
    let mut steps: Vec<String> =
        blocks(walk).into_iter().filter(|(words, ..)| words == "yaml").map(|(_, _, text)| text).collect();
    let whole = steps.pop().unwrap();
    assert_eq!(steps.concat(), whole);

    let load = |text: &str| {
        let catalog = renewd::provider::catalog::texts();
        let loaded = renewd::config::load_text("/home/me/fleet.yaml".as_ref(), text, &|_| None, catalog);
        let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}\n\nin:\n{text}"));
        assert_eq!(loaded.warnings, []);
        loaded.config.accounts.into_values().next().unwrap().provider.clone()
    };
    // From the reply on, each step leaves a provider that works.
    let account = steps.last().unwrap();
    for count in 3..steps.len() {
        load(&(steps[..count].concat() + account));
    }
    let example = std::fs::read_to_string(root().join("examples/home-grown-provider.yaml")).unwrap();
    assert_eq!(load(&whole), load(&example), "the example is the same definition");
}

#[test]
fn both_readmes_begin_with_the_same_commands() {
    let commands = |name: &str| {
        let text = std::fs::read_to_string(root().join(name)).unwrap();
        let shell = blocks(&text).into_iter().filter(|(words, ..)| words == "sh");
        let lines = |block: String| {
            block
                .lines()
                .map(|line| line.split('#').next().unwrap_or_default().trim_end().to_owned())
                .collect::<Vec<_>>()
        };
        shell.flat_map(|(_, _, block)| lines(block)).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(commands("README.md"), commands("README.ko.md"));
}
