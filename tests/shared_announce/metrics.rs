//! The output of `/metrics`, compared with the catalogue.

use std::collections::{BTreeMap, BTreeSet};

use engage_bff::{
    config::{Config, JwtConfig},
    domain::IdentifierKind,
    metrics::{Definition, Kind, catalogue},
};
use engage_simulator::fixtures::ALVA;

use crate::replicas::{Replica, World, by_email};

/// A family in the output.
#[derive(Debug, Default)]
struct Written {
    kind: String,
    help: String,
    /// The name of each series, with the labels and their values.
    series: Vec<(String, Vec<(String, String)>)>,
}

/// The families of a scrape, by name.
fn parse(text: &str) -> BTreeMap<String, Written> {
    let mut families: BTreeMap<String, Written> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (family, help) = rest.split_once(' ').expect("a help text");
            family.clone_into(&mut name);
            let written = Written {
                help: help.trim_end_matches('.').to_owned(),
                ..Written::default()
            };
            let earlier = families.insert(name.clone(), written);
            assert!(earlier.is_none(), "{name} is written twice");
            continue;
        }
        let family = families.get_mut(&name).expect("a family");
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let kind = rest
                .strip_prefix(&format!("{name} "))
                .expect("the family's type");
            kind.clone_into(&mut family.kind);
            continue;
        }
        let (series, _) = line.rsplit_once(' ').expect("a value");
        let (series, labels) = series.split_once('{').unwrap_or((series, ""));
        assert!(series.starts_with(&name), "{series} in {name}");
        family.series.push((series.to_owned(), labels_of(labels)));
    }
    families
}

/// The labels in `name="value",…}`: no value has a quotation mark.
fn labels_of(text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let (value, after) = after.split_once('"').expect("an end of the value");
        labels.push((name.trim_start_matches(',').to_owned(), value.to_owned()));
        rest = after;
    }
    labels
}

/// The mistakes in a family.
fn mistakes(family: &Definition, written: &Written) -> Vec<String> {
    let mut mistakes = Vec::new();
    let name = family.full_name();
    if written.kind != family.kind.as_str() || written.help != family.help {
        mistakes.push(format!("{name}: {} {}", written.kind, written.help));
    }
    let names: Vec<_> = family.labels.iter().map(|label| label.name).collect();
    let mut rows = BTreeSet::new();
    for (series, labels) in &written.series {
        let labels = labels.iter().filter(|(label, _)| label != "le");
        let (given, values): (Vec<&str>, Vec<&str>) =
            labels.map(|(label, value)| (&**label, &**value)).unzip();
        if given != names || !family.allows(&values) {
            mistakes.push(format!("{series} {given:?} {values:?}"));
        }
        rows.insert(values);
    }
    if rows.is_empty() {
        mistakes.push(format!("{name}: no series"));
    }
    for row in family.known_rows() {
        if !rows.contains(&row) {
            mistakes.push(format!("{name}: {row:?} is not there from the start"));
        }
    }
    mistakes
}

async fn scrape(replica: &Replica) -> BTreeMap<String, Written> {
    let metrics = replica.operations("/metrics").await;
    metrics.assert_status(200);
    parse(std::str::from_utf8(&metrics.body).expect("text"))
}

/// A configuration in which every family exists.
fn everything(config: &mut Config) {
    config.engage.point_names = true;
    config.identifiers.unique = vec![IdentifierKind::Email];
    config.telemetry.otlp_endpoint = Some("http://127.0.0.1:1".to_owned());
    let jwt = r#"
        issuer = "https://login.example.com"
        audience = "engage-bff"
        algorithms = ["ES256"]
        jwks_url = "http://127.0.0.1:1/jwks"
        email_claim = "email"
    "#;
    let jwt: JwtConfig = toml::from_str(jwt).expect("a token issuer");
    config.auth.jwt = Some(jwt);
}

#[tokio::test]
async fn scrape_is_the_catalogue_from_the_start() {
    let world = World::start(everything).await;
    let written = scrape(&world.a).await;
    let mut wrong = Vec::new();
    for family in catalogue::all() {
        let name = family.full_name();
        let name = match family.kind {
            Kind::Counter => name.trim_end_matches("_total"),
            Kind::Gauge | Kind::Histogram(_) => &name,
        };
        match written.get(name) {
            None => wrong.push(format!("{name} is not there")),
            Some(written) => wrong.extend(mistakes(family, written)),
        }
    }
    for name in written.keys() {
        let is_known = catalogue::find(name).or_else(|| catalogue::find(&format!("{name}_total")));
        if is_known.is_none() {
            wrong.push(format!("{name} is not in the catalogue"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn requests_add_no_series_to_families_of_known_labels() {
    let world = World::start(everything).await;
    let before = scrape(&world.a).await;
    world.a.get(&by_email(ALVA.email)).await.assert_status(200);
    world.a.get(&by_email(ALVA.email)).await.assert_status(200);
    world.a.get("email=incomplete").await.assert_status(400);
    let after = scrape(&world.a).await;
    for (name, written) in after {
        assert_eq!(written.series, before[&name].series, "{name}");
    }
}
