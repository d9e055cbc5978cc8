//! As much of PromQL as it takes to see what an expression asks for, and the reference of what there is to be asked.

use std::collections::{BTreeMap, BTreeSet};

use crate::read;

/// Labels that Prometheus itself puts on every series of an agent.
const SCRAPED: &[&str] = &["job", "instance"];

/// The metrics that `docs/metrics.md` names, with their labels; a histogram by its three series.
pub(crate) struct Reference(BTreeMap<String, BTreeSet<String>>);

impl Reference {
    pub(crate) fn load() -> Self {
        let page = read("docs/metrics.md");
        let mut known = BTreeMap::new();
        let mut section = "";
        for line in page.lines() {
            section = line.strip_prefix("## ").unwrap_or(section);
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, name, labels, _, _, _] = cells[..] else { continue };
            let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) else { continue };
            let labels = labels.split(", ").map(|label| label.trim_matches('`').to_owned());
            let labels: BTreeSet<String> = labels.filter(|label| !label.is_empty()).collect();
            if section == "Histograms" {
                for ending in ["_bucket", "_count", "_sum"] {
                    let le = (ending == "_bucket").then(|| "le".to_owned());
                    known.insert(format!("{name}{ending}"), labels.iter().cloned().chain(le).collect());
                }
            } else {
                known.insert(name.to_owned(), labels);
            }
        }
        assert!(known.len() > 15, "the tables of docs/metrics.md are not understood: {known:?}");
        Self(known)
    }

    /// A series that a recording rule makes.
    pub(crate) fn record(&mut self, name: &str, labels: &[&str]) {
        self.0.insert(name.to_owned(), labels.iter().map(|label| (*label).to_owned()).collect());
    }

    /// What the expression asks for that is not there: metrics, and labels that none of its metrics has.
    pub(crate) fn unknown_in(&self, expression: &str) -> Vec<String> {
        let Asked { metrics, selected, grouped } = asked(expression);
        let mut complaints = Vec::new();
        let mut any: BTreeSet<&str> = SCRAPED.iter().copied().chain(["server"]).collect();
        for metric in &metrics {
            match self.0.get(metric) {
                Some(labels) => any.extend(labels.iter().map(String::as_str)),
                None if metric == "up" => {}
                None => complaints.push(format!("no metric `{metric}`")),
            }
        }
        for (metric, label) in selected {
            let has = self.0.get(&metric).is_none_or(|labels| labels.contains(&label));
            if !has && !SCRAPED.contains(&label.as_str()) {
                complaints.push(format!("`{metric}` has no label `{label}`"));
            }
        }
        for label in grouped.iter().filter(|label| !any.contains(label.as_str())) {
            complaints.push(format!("no metric here has the label `{label}`"));
        }
        if metrics.is_empty() {
            complaints.push("no metric at all".to_owned());
        }
        complaints
    }
}

struct Asked {
    metrics: BTreeSet<String>,
    /// By metric.
    selected: Vec<(String, String)>,
    grouped: Vec<String>,
}

const GROUPING: &[&str] = &["by", "without", "on", "ignoring", "group_left", "group_right"];

fn asked(expression: &str) -> Asked {
    let mut found = Asked { metrics: BTreeSet::new(), selected: Vec::new(), grouped: Vec::new() };
    let mut rest = expression;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            rest = past_string(rest);
        } else if first.is_ascii_alphabetic() || first == '_' {
            let (word, after) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
            rest = after.trim_start();
            if word.contains("renewd_") || word == "up" {
                found.metrics.insert(word.to_owned());
                if let Some(inside) = rest.strip_prefix('{') {
                    let (labels, after) = selectors(inside);
                    found.selected.extend(labels.into_iter().map(|label| (word.to_owned(), label)));
                    rest = after;
                }
            } else if let Some(inside) = rest.strip_prefix('(').filter(|_| GROUPING.contains(&word)) {
                let (labels, after) = inside.split_once(')').unwrap();
                found.grouped.extend(labels.split(',').map(|label| label.trim().to_owned()));
                rest = after;
            }
        } else {
            // A digit takes the unit behind it along.
            let end =
                if first.is_ascii_digit() { rest.find(|c| !is_word(c)) } else { Some(first.len_utf8()) };
            rest = &rest[end.unwrap_or(rest.len())..];
        }
    }
    found
}

/// The names of the labels up to the closing brace, and what stands behind that.
fn selectors(mut rest: &str) -> (Vec<String>, &str) {
    let mut names = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\n']);
        if let Some(after) = rest.strip_prefix('}') {
            return (names, after);
        }
        let quote = rest.find('"').unwrap();
        names.push(rest[..quote].trim_end_matches(['=', '!', '~', ' ']).to_owned());
        rest = past_string(&rest[quote..]);
    }
}

/// Behind the string that begins here.
fn past_string(text: &str) -> &str {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    &text[end.unwrap().0 + 1..]
}

#[test]
fn what_is_not_there_is_found() {
    let reference = Reference::load();
    let unknown = |expression| reference.unknown_in(expression);
    assert_eq!(
        unknown(r#"sum by (state, instance) (renewd_account_state{state=~"a}\"|b", job="x"} offset 5m) > 0"#),
        [""; 0]
    );
    assert_eq!(
        unknown("histogram_quantile(0.9, sum by (le) (rate(renewd_renewal_lateness_seconds_bucket[5m])))"),
        [""; 0]
    );
    assert_eq!(unknown("renewd_token_left"), ["no metric `renewd_token_left`"]);
    assert_eq!(unknown("renewd_renewal_lateness_seconds"), ["no metric `renewd_renewal_lateness_seconds`"]);
    assert_eq!(
        unknown(r#"renewd_clock_skew_seconds{job="a", account="x"}"#),
        ["`renewd_clock_skew_seconds` has no label `account`"]
    );
    assert_eq!(unknown("sum by (sink) (renewd_build_info)"), ["no metric here has the label `sink`"]);
    assert_eq!(unknown("vector(1)"), ["no metric at all"]);
}
