//! The table of metrics in docs/OPERATIONS.md, and every metric that a document or a deployment names, compared with
//! the catalogue.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::PathBuf};

use engage_bff::metrics::{
    Definition,
    catalogue::{
        self,
        values::{ALARMS, ALL_PARTS},
    },
};

use super::{document, documents, read, root, source_files};

const PAGE: &str = "docs/OPERATIONS.md";
const HEAD: &str = "| metric | kind | meaning |\n| --- | --- | --- |\n";
/// If this variable is set, the test rewrites the table instead of comparing it.
const WRITE: &str = "WRITE_METRICS_TABLE";

/// Labels that Prometheus or a query adds.
const LABELS_OF_PROMETHEUS: [&str; 7] = [
    "alertname",
    "instance",
    "job",
    "le",
    "namespace",
    "pod",
    "quantile",
];
/// Metrics that a recording rule or an adapter's rule derives from others.
const MADE_OF_OTHERS: [&str; 1] = ["engage_bff_customer_requests_per_second"];

fn row(family: &Definition) -> String {
    let labels: Vec<_> = family.labels.iter().map(|label| label.name).collect();
    let labels = if labels.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", labels.join(","))
    };
    let Definition {
        name, help, note, ..
    } = family;
    let between = match note.chars().next() {
        None => "",
        Some('`') => ": ",
        Some(_) => "; ",
    };
    let kind = family.kind.as_str();
    format!("| `{name}{labels}` | {kind} | {help}{between}{note} |\n")
}

#[test]
fn table_of_metrics_is_that_of_the_catalogue() {
    let page = document(PAGE);
    let start = page.find(HEAD).expect("a table of metrics") + HEAD.len();
    let length = page[start..].find("\n\n").expect("an end of the table") + 1;
    let mut expected = String::new();
    catalogue::all().for_each(|family| expected.push_str(&row(family)));
    if is_set(WRITE) {
        let page = [&page[..start], &expected, &page[start + length..]].concat();
        fs::write(root().join(PAGE), page).expect("the page can be written");
        return;
    }
    let mut differences = String::new();
    let table = &page[start..start + length];
    for row in expected.lines().filter(|row| !table.contains(row)) {
        writeln!(differences, "missing: {row}").expect("text");
    }
    for row in table.lines().filter(|row| !expected.contains(row)) {
        writeln!(differences, "not in the catalogue: {row}").expect("text");
    }
    assert!(
        table == expected,
        "\n{differences}{WRITE}=1 writes the table"
    );
}

#[expect(clippy::disallowed_methods, reason = "it is no setting of the service")]
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}

#[test]
fn each_value_of_a_label_is_explained() {
    let page = document(PAGE);
    let (_, section) = page.split_once("\n## Metrics\n").expect("a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let unexplained: BTreeSet<_> = catalogue::all()
        .flat_map(|family| family.labels)
        .flat_map(|label| label.values)
        .filter(|value| !section.contains(&format!("`{value}`")) && !page_of_values(value))
        .collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
}

/// Whether the value is explained elsewhere: parts in the API's documentation, alarms in the table of log events.
fn page_of_values(value: &str) -> bool {
    ALL_PARTS.contains(&value) || ALARMS.contains(&value)
}

#[test]
fn each_alarm_in_the_source_has_a_series() {
    let code = source_files(&["src"]).concat();
    // The message comes last: the macro's parenthesis follows its quotation mark.
    let is_last = |event: &str, place: usize| {
        let rest = event[place + 1..].trim_start_matches([',', ' ', '\n']);
        rest.starts_with(')')
    };
    let mut messages: BTreeSet<_> = code
        .split("tracing::")
        .filter_map(|event| {
            let mut marks = event.match_indices('"');
            let (end, _) = marks.find(|(place, _)| is_last(event, *place))?;
            let event = &event[..end];
            let (_, message) = event.rsplit_once('"')?;
            event.contains("alarm = true").then_some(message)
        })
        .collect();
    // The alarms of failed calls differ only in the message that a macro gets.
    let by_macro = code.split("alarm!(\"").skip(1);
    messages.extend(by_macro.filter_map(|rest| rest.split('"').next()));
    let listed: BTreeSet<_> = ALARMS.iter().copied().collect();
    assert_eq!(messages, listed, "src/metrics/catalogue/values.rs");
}

/// The documents, and the files of deployments, that may name metrics.
fn texts() -> Vec<(PathBuf, String)> {
    let mut folders = vec![root().join("deploy")];
    let mut found: Vec<_> = documents()
        .into_iter()
        // The changelog also names metrics that were renamed or removed.
        .filter(|path| !path.ends_with("CHANGELOG.md"))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind != "png") {
                found.push(path);
            }
        }
    }
    found
        .into_iter()
        .map(|path| (path.clone(), read(&path)))
        .collect()
}

/// The family of a name in a query: a histogram's name has a suffix.
fn family(name: &str) -> Option<&'static Definition> {
    let endings = ["_bucket", "_sum", "_count"];
    let of_histogram = endings.iter().find_map(|ending| name.strip_suffix(ending));
    let is_histogram = |family: &&Definition| family.kind.as_str() == "histogram";
    let histogram = of_histogram.and_then(catalogue::find).filter(is_histogram);
    histogram.or_else(|| catalogue::find(name).filter(|family| !is_histogram(family)))
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// What is wrong with the names and labels of metrics in a text, which may be JSON.
fn mistakes(text: &str) -> Vec<String> {
    let text = &text.replace("\\\"", "\"");
    let mut mistakes = Vec::new();
    for (place, _) in text.match_indices("engage_bff_") {
        let rest = &text[place..];
        let end = rest
            .find(|letter| !is_of_name(letter))
            .unwrap_or(rest.len());
        let name = &rest[..end];
        // A pattern, or the name of the crate.
        if text[..place].ends_with(is_of_name) || rest[end..].starts_with(['…', '*', '.', ':']) {
            continue;
        }
        if name == "engage_bff_" || MADE_OF_OTHERS.contains(&name) {
            continue;
        }
        let Some(family) = family(name) else {
            mistakes.push(format!("no metric {name}"));
            continue;
        };
        let labels = rest[end..]
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'));
        let labels = labels.map_or("", |(labels, _)| labels);
        mistakes.extend(matchers(labels).into_iter().filter_map(|(label, values)| {
            if LABELS_OF_PROMETHEUS.contains(&label) {
                return None;
            }
            let Some(known) = family.labels.iter().find(|known| known.name == label) else {
                return Some(format!("{name} has no label {label}"));
            };
            let is_unknown = |value: &&str| {
                let is_plain = value
                    .chars()
                    .all(|letter| is_of_name(letter) || letter == '-');
                is_plain && !known.values.is_empty() && !known.values.contains(value)
            };
            let unknown = values.split('|').find(is_unknown)?;
            Some(format!("{name}: {label} is never {unknown}"))
        }));
    }
    mistakes
}

/// The labels of a selector, each with its quoted value. A list of labels without any value gives none.
fn matchers(labels: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = labels;
    while let Some((label, after)) = rest.split_once(['=', '!']) {
        let label = label.trim_matches(|letter: char| !is_of_name(letter));
        let Some((_, quoted)) = after.split_once('"') else {
            break;
        };
        let Some((values, after)) = quoted.split_once('"') else {
            break;
        };
        found.push((label, values));
        rest = after;
    }
    found
}

#[test]
fn every_metric_in_documents_and_deployments_exists() {
    let mut wrong = Vec::new();
    let mut named = 0;
    for (path, text) in texts() {
        named += text.matches("engage_bff_").count();
        let mistakes = mistakes(&text).into_iter();
        wrong.extend(mistakes.map(|mistake| format!("{}: {mistake}", path.display())));
    }
    assert!(named > 10, "{named}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn wrong_names_labels_and_values_are_noticed() {
    for (query, expected) in [
        (
            "rate(engage_bff_problems_total{code=\"Internal\"}[5m])",
            None,
        ),
        (
            "engage_bff_customer_request_duration_seconds_count{cache=\"guest\"}",
            None,
        ),
        (
            "engage_bff_webhook_feed_state{job=\"x\",state=~\"silent|failing\"}",
            None,
        ),
        (
            "engage_bff_customer_request_duration_seconds",
            Some("no metric"),
        ),
        ("engage_bff_refusals_total", Some("no metric")),
        ("engage_bff_problems_total{kind=\"x\"}", Some("no label")),
        (
            "engage_bff_webhook_feed_state{state=~\"silent|gone\"}",
            Some("never gone"),
        ),
    ] {
        let found = mistakes(query);
        match expected {
            None => assert!(found.is_empty(), "{found:?}"),
            Some(text) => assert!(found.iter().any(|found| found.contains(text)), "{query}"),
        }
    }
}
