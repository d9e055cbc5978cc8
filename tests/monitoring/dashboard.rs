//! `deploy/grafana`.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::promql::Reference;
use crate::{list, parsed, promtool, root, skip, text};

const KINDS: &[&str] = &["row", "stat", "timeseries", "state-timeline", "table", "heatmap"];

fn dashboard() -> Value {
    parsed("deploy/grafana/renewd.json")
}

/// Panels' titles, and what they ask.
fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let of_panels = list(dashboard, "panels").flat_map(|panel| {
        list(panel, "targets")
            .map(|target| (text(panel, "title").to_owned(), text(target, "expr").to_owned()))
    });
    let of_annotations = list(&dashboard["annotations"], "list").filter(|one| one["expr"].is_string());
    of_panels
        .chain(of_annotations.map(|one| (text(one, "name").to_owned(), text(one, "expr").to_owned())))
        .collect()
}

#[test]
fn the_dashboard_asks_for_nothing_that_an_agent_does_not_show() {
    let (dashboard, reference) = (dashboard(), Reference::load());
    let variables = list(&dashboard["templating"], "list").map(|variable| {
        // `label_values(METRIC, LABEL)`.
        let query = text(variable, "definition")
            .strip_prefix("label_values(")
            .and_then(|rest| rest.rsplit_once(", "));
        let name = format!("variable {}", text(variable, "name"));
        query.map(|(metric, label)| (name, format!("sum by ({}) ({metric})", label.trim_end_matches(')'))))
    });
    let asked: Vec<_> = expressions(&dashboard).into_iter().chain(variables.flatten()).collect();
    assert!(asked.len() > 25, "{}", asked.len());
    let complaints: Vec<String> = asked
        .iter()
        .flat_map(|(title, expr)| {
            reference.unknown_in(expr).into_iter().map(move |said| format!("{title}: {said}"))
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_dashboard_leaves_no_metric_out() {
    let all: String = expressions(&dashboard()).into_iter().map(|(_, expr)| expr + "\n").collect();
    for metric in renewd::observe::metrics::DESCRIPTIONS {
        assert!(all.contains(metric.name), "{} is in no panel", metric.name);
    }
}

#[test]
fn prometheus_can_parse_every_expression_of_the_dashboard() {
    let dashboard = dashboard();
    let rules: Vec<Value> = expressions(&dashboard)
        .iter()
        .enumerate()
        .map(|(number, (_, expr))| {
            let mut expr = expr.replace("$__rate_interval", "5m");
            for variable in list(&dashboard["templating"], "list") {
                expr = expr.replace(&format!("${}", text(variable, "name")), "x|.*");
            }
            assert!(!expr.contains('$'), "an unknown variable in {expr}");
            json!({ "record": format!("panel:{number}"), "expr": expr })
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("panels.json");
    let all = json!({ "groups": [{ "name": "panels", "rules": rules }] }).to_string();
    std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), all.as_bytes()).unwrap();
    let args = ["check", "rules", file.to_str().unwrap()];
    let test = "prometheus_can_parse_every_expression_of_the_dashboard";
    let Some((content, said)) = promtool(test, &args) else { return };
    assert!(content && said.contains(&format!("{} rules found", rules.len())), "{said}");
}

#[test]
fn grafanas_own_types_know_every_field_and_word_of_the_dashboard() {
    let test = "grafanas_own_types_know_every_field_and_word_of_the_dashboard";
    let types = root().join(".cache/grafana");
    if !types.join("grafana_foundation_sdk").is_dir() {
        return skip(test, "Grafana's types are not in .cache/grafana: see scripts/test");
    }
    let script = root().join("tests/monitoring/types.py");
    let file = root().join("deploy/grafana/renewd.json");
    let output = Command::new("python3").arg("-B").args([&script, &types, &file]).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("nothing lost"), "{said}");
}

#[test]
fn the_dashboard_can_be_imported_anywhere() {
    let dashboard = dashboard();
    assert_eq!((text(&dashboard, "title"), text(&dashboard, "uid")), ("renewd", "renewd"));
    assert!(dashboard["id"].is_null(), "an id is its number in one Grafana");
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36);
    let variables: Vec<&str> =
        list(&dashboard["templating"], "list").map(|variable| text(variable, "name")).collect();
    assert_eq!(variables, ["datasource", "job", "instance", "provider", "account"]);
    for panel in list(&dashboard, "panels") {
        let (title, kind) = (text(panel, "title"), text(panel, "type"));
        assert!(KINDS.contains(&kind), "{title}: {kind}");
        if kind == "row" {
            continue;
        }
        assert!(!text(panel, "description").is_empty(), "{title}");
        let mut references = BTreeSet::new();
        for target in list(panel, "targets") {
            assert_eq!(text(&target["datasource"], "uid"), "${datasource}", "{title}");
            assert!(references.insert(text(target, "refId")), "{title}");
            // Every selector can be narrowed to a job and an agent.
            for selector in text(target, "expr").split("renewd_").skip(1) {
                assert!(selector.contains(r#"{job=~"$job", instance=~"$instance""#), "{title}: {selector}");
            }
        }
        assert!(!references.is_empty(), "{title}");
        assert_eq!(text(&panel["datasource"], "uid"), "${datasource}", "{title}");
    }
}

#[test]
fn no_two_panels_lie_on_each_other() {
    let dashboard = dashboard();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in list(&dashboard, "panels") {
        let title = text(panel, "title");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(side("x") + side("w") <= 24, "{title}");
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(taken.insert((x, y)), "{title} at {x}, {y}");
            }
        }
    }
}
