//! The manual: a page a command, each with its right heading, without a word from groff.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{renewd, run, skip, told};

/// The pages as `renewd man --dir` leaves them, by name.
fn pages(folder: &tempfile::TempDir) -> Vec<(String, PathBuf)> {
    let dir = folder.path().join("man1");
    assert_eq!(
        told(renewd(&["man", "--dir"]).arg(&dir).output().unwrap()),
        (0, String::new(), String::new())
    );
    let found = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
    let pages: Vec<_> =
        found.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)).collect();
    assert!(pages.len() > 15, "{pages:?}");
    pages
}

#[test]
fn each_man_page_says_whose_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for (name, path) in pages(&folder) {
        let page = std::fs::read_to_string(&path).unwrap();
        let heading = page.lines().find(|line| line.starts_with(".TH")).unwrap().replace('\\', "");
        let words = words_of(&heading);
        assert_eq!(
            words,
            [".TH", &name, "1", "", concat!("renewd ", env!("CARGO_PKG_VERSION")), "renewd manual"]
        );
        assert_eq!(path.extension().unwrap(), "1");
        let said = page.replace('\\', "");
        assert!(said.contains(&format!(".SH NAME\n{name} - ")), "{name}: {page}");
        assert!(said.contains(&name.replace('-', " ")) || name == "renewd", "{name} has no synopsis: {page}");
        assert!(!page.contains(".SH EXTRA"), "{name}: {page}");
    }
    let (_, whole, _) = run(&["man"]);
    assert_eq!(std::fs::read_to_string(folder.path().join("man1/renewd.1")).unwrap(), whole);
}

#[test]
fn groff_takes_each_man_page_without_a_warning() {
    let name = "groff_takes_each_man_page_without_a_warning";
    if Command::new("groff").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skip(name, "there is no groff");
    }
    let folder = tempfile::tempdir().unwrap();
    for (page, path) in pages(&folder) {
        let (exit, text, warnings) = told(
            Command::new("groff").args(["-man", "-Tutf8", "-ww", "-P-cbou"]).arg(&path).output().unwrap(),
        );
        assert_eq!((exit, warnings.as_str()), (0, ""), "{page}");
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap();
        assert!(first.starts_with(&format!("{page}(1)")) && first.contains("renewd manual"), "{first}");
        let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap();
        assert!(last.starts_with(concat!("renewd ", env!("CARGO_PKG_VERSION"))), "{page}: {last}");
    }
}

#[test]
fn the_manual_has_its_sections_in_the_usual_order_and_a_synopsis_with_values() {
    let folder = tempfile::tempdir().unwrap();
    let pages = pages(&folder);
    let text = |wanted: &str| {
        let (_, path) = pages.iter().find(|(name, _)| name == wanted).unwrap();
        std::fs::read_to_string(path).unwrap().replace('\\', "")
    };
    let sections = |page: &str| -> Vec<String> {
        page.lines().filter_map(|line| line.strip_prefix(".SH ")).map(|name| name.replace('"', "")).collect()
    };
    let whole = text("renewd");
    assert_eq!(
        sections(&whole),
        [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "GLOBAL OPTIONS",
            "COMMANDS",
            "EXIT STATUS",
            "ENVIRONMENT",
            "FILES",
            "SIGNALS",
            "EXAMPLES",
            "SEE ALSO"
        ]
    );
    let examples = whole.split(".SH EXAMPLES\n").nth(1).unwrap();
    assert!(!examples.contains("Exit status") && !examples.contains("75"), "{examples}");
    assert!(examples.contains(".nf\n  renewd demo    "), "columns stay columns: {examples}");
    let others: Vec<&String> = pages.iter().map(|(name, _)| name).filter(|name| *name != "renewd").collect();
    for other in others {
        assert!(examples.contains(&format!("\n.BR {other} (1),\n")), "{other}");
        assert_eq!(sections(&text(other)).last().unwrap(), "SEE ALSO", "{other}");
        assert!(!text(other).contains("\nExamples:\n"), "{other}");
    }
    let synopsis = |name: &str| {
        text(name)
            .split(".SH SYNOPSIS\n")
            .nth(1)
            .unwrap()
            .lines()
            .find(|line| line.starts_with("fB"))
            .unwrap()
            .to_owned()
    };
    assert!(synopsis("renewd").contains("[--config <FILE>] [--socket <PATH>]"), "{}", synopsis("renewd"));
    assert!(synopsis("renewd-once").contains("[--timeout <DURATION>]"), "{}", synopsis("renewd-once"));
    assert!(synopsis("renewd-exec").contains("[--timeout <DURATION>]"), "{}", synopsis("renewd-exec"));
}

/// The words of a request: what stands in quotes is one, also where it is nothing.
fn words_of(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('"').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}
