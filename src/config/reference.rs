//! The tables as a page of documentation: `docs/configuration.md`.

use std::fmt::Write as _;

use super::shape::{self, Field, Kind, SECRET, Shape};

/// The reference page, in Markdown. A test holds `docs/configuration.md` against it.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = String::from(HEAD);
    let own = |section: &&&Shape| !section.name.starts_with("providers.");
    let language = |section: &&&Shape| section.name.starts_with("providers.");
    for section in shape::all().iter().filter(own) {
        table(&mut page, section);
    }
    page.push_str(PROVIDERS);
    for section in shape::all().iter().filter(language) {
        table(&mut page, section);
    }
    page
}

const HEAD: &str = "\
# Configuration

<!-- Made by `config::reference_markdown`; `UPDATE_DOCS=1 cargo test --lib config::reference` writes it anew. -->

The configuration is YAML: `/etc/renewd/renewd.yaml`, or what `--config` or `RENEWD_CONFIG` names. `renewd check` reports
everything that is wrong with it at once, `renewd schema` prints a JSON Schema for editors. Unknown keys, keys that stand twice
and wrong types are errors. Single values are taken as written: `00123` stays text where text is meant. Anchors, aliases and
`<<` work; tags and several documents in one file do not.

Durations are whole numbers with a unit, put together as needed: `ms`, `s`, `m`, `h`, `d`, `w`, as in `1h30m`. Shares are written
`20%`. `NAME` stands for a name of your own. A key in **bold** must be given.
";

const PROVIDERS: &str = "
# Provider definitions

What stands under `providers: NAME:`, and what the built-in definitions are written in. [writing-a-provider.md](writing-a-provider.md)
teaches it.
";

fn table(page: &mut String, section: &'static Shape) {
    let name = match section.name.contains(' ') || std::ptr::eq(section, &raw const SECRET) {
        true => capital(section.name),
        false => format!("`{}`", section.name),
    };
    // Writing to a `String` cannot fail.
    let _ = write!(
        page,
        "\n## {name}\n\n{}\n\n| key | type | default | |\n| --- | --- | --- | --- |\n",
        section.doc
    );
    for field in section.fields.iter().filter(|field| !matches!(field.kind, Kind::Refused(_))) {
        row(page, field);
    }
}

fn row(page: &mut String, field: &Field) {
    let key = match field.required {
        true => format!("**`{}`**", field.key),
        false => format!("`{}`", field.key),
    };
    let cells = [key, type_of(&field.kind), field.default.to_owned(), field.doc.to_owned()];
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

fn type_of(kind: &Kind) -> String {
    match kind {
        Kind::Scalar(kind) => kind.name.to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Secret => "[secret](#secret)".to_owned(),
        Kind::Section(section) => link(section),
        Kind::Map(key, value) => format!("`{key}`: {}", type_of(value)),
        Kind::List(item) => format!("list of {}", type_of(item)),
        Kind::OneOrList(item) => format!("{} or a list", type_of(item)),
        Kind::Either(kinds) => kinds.iter().map(type_of).collect::<Vec<_>>().join(" or "),
        Kind::Json => "anything".to_owned(),
        Kind::Refused(_) => String::new(),
    }
}

/// The anchor as GitHub makes it: lower case, without punctuation.
fn link(section: &Shape) -> String {
    let anchor = section.name.to_lowercase().replace('.', "");
    format!("[{}](#{anchor})", section.title().trim_matches('`'))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_taken_stands_on_the_page() {
        let page = reference_markdown();
        for section in shape::all() {
            for field in section.fields.iter().filter(|field| !matches!(field.kind, Kind::Refused(_))) {
                assert!(page.contains(&format!("`{}`", field.key)), "{}.{}", section.name, field.key);
                assert!(field.doc.ends_with(['.', '`']), "{}.{} has no sentence", section.name, field.key);
            }
        }
    }

    #[test]
    fn the_configuration_reference_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
        let page = reference_markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            #[expect(clippy::disallowed_methods, reason = "a test that rewrites a page of the repository")]
            std::fs::write(path, &page).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(committed, page, "UPDATE_DOCS=1 writes {path} anew");
    }

    #[test]
    fn links_lead_to_headings() {
        let page = reference_markdown();
        let anchors: Vec<String> = page
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .map(|heading| heading.to_lowercase().replace(['`', '.'], "").replace(' ', "-"))
            .collect();
        for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(anchors.iter().any(|anchor| anchor == link), "{link}");
        }
    }
}
