//! The files in `deploy`, compared with each other and with the documents: alerts, their runbooks and tests, the
//! dashboard.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

/// The address at which the rules expect the runbooks to be published.
const RUNBOOKS: &str = "https://example.com/engage-bff/docs/RUNBOOKS.md#";
/// What each selector of the dashboard must contain, so that its variables apply.
const VARIABLES: &str = r#"{job=~"$job", instance=~"$instance""#;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Splits a text into blocks, each from a line that begins with `start` to the next such line, by the rest of that
/// line.
fn blocks<'a>(text: &'a str, start: &str) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut blocks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix(start) {
            assert!(!blocks.contains_key(name), "{name} is there twice");
            current = Some(name);
        }
        if let Some(name) = current {
            blocks.entry(name).or_default().push(line);
        }
    }
    assert!(!blocks.is_empty(), "nothing begins with {start}");
    blocks
}

fn contains(block: &[&str], text: &str) -> bool {
    block.iter().any(|line| line.contains(text))
}

#[test]
fn each_alert_has_its_texts_its_runbook_and_its_tests() {
    let (rules, tests) = (
        read("deploy/prometheus/alerts.yml"),
        read("deploy/prometheus/alerts_test.yml"),
    );
    let tests = blocks(&tests, "  - name: ");
    let alerts = blocks(&rules, "      - alert: ");
    for (alert, rule) in &alerts {
        let test = tests.get(alert);
        let test = test.unwrap_or_else(|| panic!("{alert} has no test"));
        assert!(contains(test, "exp_alerts:"), "{alert}: no test fires it");
        let is_quiet = |line: &&str| line.contains("{ eval_time:") && line.contains(alert);
        assert!(
            test.iter().any(is_quiet),
            "{alert}: no test expects it not to fire"
        );
        let url = format!("runbook_url: {RUNBOOKS}{}", alert.to_lowercase());
        assert!(contains(rule, &url), "{alert}: not {url}");
        for key in ["summary: ", "description: "] {
            assert!(contains(rule, key), "{alert} has no {key}");
        }
        let severities = rule.iter().filter(|line| line.contains("severity: "));
        assert_eq!(severities.count(), 1, "{alert}");
    }
    let page = read("docs/RUNBOOKS.md");
    let (_, sections) = page
        .split_once("## Alerts\n")
        .expect("the section of alerts");
    let sections: BTreeSet<_> = blocks(sections, "### ").into_keys().collect();
    let names: BTreeSet<_> = alerts.into_keys().collect();
    assert_eq!(sections, names, "docs/RUNBOOKS.md");
    assert_eq!(tests.into_keys().collect::<BTreeSet<_>>(), names);
}

#[test]
fn prometheus_operator_gets_the_same_rules() {
    let rules = read("deploy/prometheus/alerts.yml");
    let (_, rules) = rules.split_once("\ngroups:\n").expect("groups");
    let operators = read("deploy/kubernetes/components/service-monitor/prometheus-rule.yaml");
    let (_, spec) = operators
        .split_once("\nspec:\n  groups:\n")
        .expect("groups");
    let unindented = |line| str::strip_prefix(line, "  ").expect("below spec");
    let theirs: Vec<_> = spec.lines().map(unindented).collect();
    assert_eq!(theirs, rules.lines().collect::<Vec<_>>());
}

/// The expressions of a panel.
fn expressions(panel: &Value) -> Vec<&str> {
    let targets = panel["targets"].as_array();
    let targets = targets.into_iter().flatten();
    targets
        .map(|target| target["expr"].as_str().expect("an expression"))
        .collect()
}

#[test]
fn dashboard_panels_use_its_variables_and_have_descriptions() {
    let text = read("deploy/grafana/dashboards/engage-bff.json");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(dashboard["uid"], "engage-bff");
    let variables = dashboard["templating"]["list"].as_array().expect("a list");
    let variables: Vec<_> = variables.iter().map(|one| one["name"].clone()).collect();
    assert_eq!(variables, ["datasource", "job", "instance"]);
    let panels = dashboard["panels"].as_array().expect("a list");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "an id is there twice");
    let mut expressions_seen = 0;
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().expect("a title");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let description = panel["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{title} has no description");
        for expression in expressions(panel) {
            expressions_seen += 1;
            assert_eq!(
                expression.matches('{').count(),
                expression.matches(VARIABLES).count(),
                "{title}: {expression}"
            );
            let metrics =
                expression.matches("engage_bff_").count() + expression.matches("process_").count();
            assert_eq!(
                metrics,
                expression.matches('{').count(),
                "{title}: {expression}"
            );
        }
    }
    assert!(expressions_seen > 60, "{expressions_seen}");
}
