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

/// Every call of a macro of the log in the code: its level, and its arguments.
fn log_calls() -> Vec<(&'static str, Vec<String>)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, found),
                false => found.push(path),
            }
        }
    }
    let mut files = Vec::new();
    walk(&root().join("src"), &mut files);
    let mut calls = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for level in ["error", "warn", "info", "debug", "trace"] {
            let start = format!("tracing::{level}!(");
            let all = code.match_indices(&start);
            calls.extend(all.map(|(at, _)| (level, arguments(&code[at + start.len()..]))));
        }
    }
    calls
}

/// What stands between this parenthesis and its end, comma by comma.
fn arguments(text: &str) -> Vec<String> {
    let (mut parts, mut depth, mut quoted, mut escaped) = (vec![String::new()], 0, false, false);
    for symbol in text.chars() {
        let is_end = !quoted && depth == 0 && symbol == ')';
        if is_end {
            break;
        }
        match symbol {
            '"' if !escaped => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
        escaped = symbol == '\\' && !escaped;
        match symbol {
            ',' if !quoted && depth == 0 => parts.push(String::new()),
            symbol => parts.last_mut().unwrap().push(symbol),
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

/// The cells of every row that begins with a word in backticks.
fn rows(page: &str) -> Vec<Vec<String>> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn words(cell: &str) -> std::collections::BTreeSet<String> {
    cell.split(", ").map(|word| word.trim_matches('`').to_owned()).filter(|word| !word.is_empty()).collect()
}

#[test]
fn every_event_of_the_log_stands_on_its_page_with_its_levels_and_fields_and_no_other() {
    use std::collections::{BTreeMap, BTreeSet};
    let mut known: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for (level, arguments) in log_calls() {
        let fields: Vec<&String> =
            arguments.iter().take_while(|argument| !argument.starts_with('"')).collect();
        let event = fields
            .iter()
            .find_map(|field| field.strip_prefix("event = "))
            .unwrap_or_else(|| panic!("each has a name: {arguments:?}"));
        let (levels, names) = known.entry(event.trim_matches('"').to_owned()).or_default();
        levels.insert(level.to_owned());
        let name =
            |field: &&String| field.split(" = ").next().unwrap().trim_start_matches(['%', '?']).to_owned();
        names.extend(fields.iter().map(name).filter(|name| name != "event"));
    }
    assert!(known.len() > 50, "{}", known.len());
    let page = std::fs::read_to_string(root().join("docs/logging.md")).unwrap();
    let events = page.split("## Events").nth(1).unwrap();
    let told: BTreeMap<_, _> = rows(events)
        .iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), (words(&row[1]), words(&row[2]))))
        .collect();
    for (event, is) in &known {
        assert_eq!(told.get(event), Some(is), "docs/logging.md says otherwise of `{event}`");
    }
    assert_eq!(told.len(), known.len(), "docs/logging.md has events that the code has not");
}

#[test]
fn every_event_of_the_audit_log_stands_on_its_page_and_no_other() {
    use std::collections::BTreeSet;
    let code = std::fs::read_to_string(root().join("src/observe/audit.rs")).unwrap();
    let entries = code.split("pub enum Entry {").nth(1).unwrap().split("\n}").next().unwrap();
    let name = |line: &str| line.split([' ', '(', ',', '{']).next().unwrap().to_owned();
    let variants =
        entries.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     ")).map(str::trim);
    let variants =
        variants.map(name).filter(|name| name.starts_with(|first: char| first.is_ascii_uppercase()));
    let snake = |name: String| {
        let spread = name.chars().flat_map(|symbol| {
            symbol.is_ascii_uppercase().then_some('_').into_iter().chain([symbol.to_ascii_lowercase()])
        });
        spread.skip(1).collect::<String>()
    };
    let known: BTreeSet<String> = variants.map(snake).collect();
    assert!(known.len() > 20 && known.contains("token_read"), "{known:?}");
    let page = std::fs::read_to_string(root().join("docs/audit.md")).unwrap();
    let tables = page.split("## Events").nth(1).unwrap();
    let told: BTreeSet<String> = rows(tables).iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    let fields = ["event", "outcome", "answer", "account", "generation", "peer"].map(str::to_owned);
    let told: BTreeSet<String> = told.into_iter().filter(|name| !fields.contains(name)).collect();
    assert_eq!(told, known);
}

/// The targets of a page's links to other pages.
fn links(page: &str) -> Vec<&str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| target.ends_with(".md")).collect()
}

#[test]
fn every_page_is_in_the_list_of_pages_and_the_one_for_operations_in_each() {
    let list = std::fs::read_to_string(root().join("docs/README.md")).unwrap();
    let listed = links(&list);
    for page in pages() {
        let Ok(name) = page.strip_prefix(root().join("docs")) else { continue };
        let name = name.to_str().unwrap();
        let one_of_many = name.starts_with("decisions/") && name != "decisions/README.md";
        assert!(
            one_of_many || name == "README.md" || listed.contains(&name),
            "docs/README.md does not have {name}"
        );
    }
    for readme in ["README.md", "README.ko.md"] {
        let text = std::fs::read_to_string(root().join(readme)).unwrap();
        assert!(links(&text).contains(&"docs/operations.md"), "{readme}");
    }
}

#[test]
fn decisions_are_listed_each_once_by_number() {
    let folder = root().join("docs/decisions");
    let list = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let names =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<String> = names.filter(|name| name != "README.md").collect();
    pages.sort();
    assert_eq!(links(&list), pages);
    for name in pages {
        let page = std::fs::read_to_string(folder.join(&name)).unwrap();
        assert!(page.starts_with(&format!("# {}: ", &name[..4])), "{name}");
    }
}
