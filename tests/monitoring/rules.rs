//! `deploy/prometheus`.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::promql::Reference;
use crate::{list, parsed, promtool, read, root, text};

const RULES: &str = "deploy/prometheus/renewd.rules.yaml";
const RULES_TEST: &str = "deploy/prometheus/renewd.rules.test.yaml";

fn rules() -> Vec<Value> {
    let file = parsed(RULES);
    list(&file, "groups").flat_map(|group| list(group, "rules")).cloned().collect()
}

fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|rule| !text(rule, "alert").is_empty()).collect()
}

#[test]
fn promtool_finds_no_fault_with_the_rules_their_tests_and_the_example() {
    for (args, says) in [
        (&["check", "rules", "renewd.rules.yaml"][..], "SUCCESS"),
        (&["test", "rules", "renewd.rules.test.yaml"], "SUCCESS"),
        // Without looking for the token that the example's second job reads.
        (
            &["check", "config", "--syntax-only", "prometheus.example.yaml"],
            "valid prometheus config file syntax",
        ),
    ] {
        let test = "promtool_finds_no_fault_with_the_rules_their_tests_and_the_example";
        let Some((content, said)) = promtool(test, args) else { return };
        assert!(content && said.contains(says) && !said.contains("FAILED"), "promtool {args:?}: {said}");
    }
}

#[test]
fn rules_ask_for_nothing_that_an_agent_does_not_show() {
    let mut reference = Reference::load();
    let mut complaints = Vec::new();
    for rule in rules() {
        let name = format!("{}{}", text(&rule, "alert"), text(&rule, "record"));
        complaints.extend(
            reference.unknown_in(text(&rule, "expr")).into_iter().map(|said| format!("{name}: {said}")),
        );
        if rule["record"].is_string() {
            reference.record(text(&rule, "record"), &["account", "provider"]);
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_alert_says_how_bad_it_is_what_it_means_and_what_to_do() {
    for alert in alerts() {
        let name = text(&alert, "alert");
        assert!(name.starts_with("Renewd"), "{name}");
        let severity = text(&alert["labels"], "severity");
        assert!(["warning", "critical"].contains(&severity), "{name}: {severity}");
        let annotations = alert["annotations"].as_object().unwrap();
        let keys: Vec<&str> = annotations.keys().map(String::as_str).collect();
        assert_eq!(keys, ["summary", "description", "hint", "runbook"], "{name}");
        assert!(annotations["description"].as_str().unwrap().ends_with(['.', '?']), "{name}");
    }
}

#[test]
fn runbooks_lead_to_headings_that_are_there() {
    for alert in alerts() {
        let runbook = text(&alert["annotations"], "runbook");
        let (page, anchor) = runbook.split_once('#').unwrap();
        let heading = |line: &str| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|c| c.is_alphanumeric() || " _-".contains(*c));
            line.starts_with('#') && kept.collect::<String>().replace(' ', "-") == anchor
        };
        assert!(read(page).lines().any(heading), "{}: no such heading: {runbook}", text(&alert, "alert"));
    }
}

#[test]
fn hints_name_commands_that_there_are() {
    let mut seen = 0;
    for alert in alerts() {
        let hint = text(&alert["annotations"], "hint");
        for (at, _) in hint.match_indices("renewd ") {
            let before = hint[..at].rsplit([';', ',', ':']).next().unwrap_or_default().trim();
            let is_command = before.is_empty() || before == "then";
            let command: String =
                hint[at + "renewd ".len()..].chars().take_while(char::is_ascii_lowercase).collect();
            if !is_command || command.is_empty() {
                continue;
            }
            seen += 1;
            let help =
                Command::new(env!("CARGO_BIN_EXE_renewd")).args([&command, "--help"]).output().unwrap();
            assert!(help.status.success(), "{hint}: there is no `renewd {command}`");
        }
    }
    assert!(seen >= 10, "{seen} commands");
}

#[test]
fn every_alert_is_seen_to_fire_and_to_clear_and_stands_on_the_page() {
    let page = read("docs/monitoring.md");
    let file = parsed(RULES_TEST);
    // By name and severity: how often it fires; by name: how often it is quiet, and quiet after it has fired.
    let (mut fires, mut quiet, mut clears) =
        (BTreeMap::<(&str, &str), u32>::new(), BTreeMap::<&str, u32>::new(), BTreeMap::<&str, u32>::new());
    for case in list(&file, "tests") {
        let mut fired: Vec<&str> = Vec::new();
        for look in list(case, "alert_rule_test") {
            let name = text(look, "alertname");
            let mut firing = list(look, "exp_alerts").peekable();
            if firing.peek().is_none() {
                *quiet.entry(name).or_default() += 1;
                if fired.contains(&name) {
                    *clears.entry(name).or_default() += 1;
                }
            }
            for alert in firing {
                fired.push(name);
                *fires.entry((name, text(&alert["exp_labels"], "severity"))).or_default() += 1;
            }
        }
    }
    for alert in alerts() {
        let (name, severity) = (text(&alert, "alert"), text(&alert["labels"], "severity"));
        assert!(fires.contains_key(&(name, severity)), "{name}, {severity}: no test in which it fires");
        assert!(quiet.contains_key(name) && clears.contains_key(name), "{name}: no test in which it clears");
        assert!(page.contains(&format!("### {name}\n")), "docs/monitoring.md says nothing of {name}");
    }
}

#[test]
fn the_example_scrapes_the_agents_default_under_the_name_that_the_rules_look_for() {
    let example = parsed("deploy/prometheus/prometheus.example.yaml");
    let jobs: Vec<&Value> = list(&example, "scrape_configs").collect();
    let agents = jobs.iter().find(|job| text(job, "job_name") == "renewd").unwrap();
    assert_eq!(agents["static_configs"][0]["targets"][0], "127.0.0.1:9478");
    assert!(read(RULES).contains(r#"up{job="renewd"}"#));
    for file in list(&example, "rule_files") {
        assert!(root().join("deploy/prometheus").join(file.as_str().unwrap()).exists(), "{file}");
    }
}
