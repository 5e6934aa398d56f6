//! The schemas of what operators read.

use serde_json::{Map, Value, json};

use super::schemas::{add_problems, nullable, reference, tidied};
use crate::{
    customer::{CacheStatus, FetchSource, PartOutcome, Why},
    domain::{HistoryPart, IdentifierKind, Part},
    http::operations,
};

/// The components.
pub(super) fn all() -> Map<String, Value> {
    let mut schemas = tidied(operations::schemas::of_answers());
    let parts = Part::ALL.map(Part::as_str);
    let history = HistoryPart::ALL.map(HistoryPart::as_str);
    let seconds = json!({"type": ["number", "null"], "format": "double"});
    let of = |name| nullable(&reference(name));
    for (name, names, value) in [
        ("DecisionParts", &parts[..], of("PartDecision")),
        ("CachedParts", &parts, of("Provenance")),
        ("CachedHistory", &history, of("Provenance")),
        ("SharedParts", &parts, of("SharedValue")),
        ("SharedTimes", &parts, seconds),
    ] {
        schemas.insert(name.to_owned(), one_for_each(names, &value));
    }
    for (schema, member, value) in [
        ("Decision", "parts", of("DecisionParts")),
        ("CachedContact", "parts", reference("CachedParts")),
        ("CachedContact", "history", reference("CachedHistory")),
        ("SharedContact", "parts", reference("SharedParts")),
        (
            "SharedContact",
            "entityOnlySeconds",
            reference("SharedTimes"),
        ),
        ("Explanation", "sharedTier", shared_tier()),
        // Absent without a tier, never `null`.
        ("Upstream", "budget", reference("Budget")),
    ] {
        replace(&mut schemas, schema, member, value);
    }
    let required = schemas["Upstream"]["required"].as_array_mut();
    required.expect("a list").retain(|name| name != "budget");
    name_values(&mut schemas);
    add_problems(&mut schemas);
    schemas
}

/// An object with one member for each name.
fn one_for_each(names: &[&str], value: &Value) -> Value {
    let members: Map<_, _> = names
        .iter()
        .map(|name| ((*name).to_owned(), value.clone()))
        .collect();
    json!({
        "type": "object", "description": "One member for each; `null` where there is none.",
        "required": names, "properties": members,
    })
}

fn shared_tier() -> Value {
    json!({"oneOf": [
        {"type": "null"},
        {"type": "string", "const": "unavailable", "description": "It was not asked, or did not answer in time."},
        reference("SharedContent"),
    ]})
}

/// The schema of a member, whose description stays.
#[track_caller]
fn replace(schemas: &mut Map<String, Value>, schema: &str, member: &str, mut value: Value) {
    let old = member_of(&mut schemas[schema], member);
    value["description"] = old["description"].take();
    *old = value;
}

/// A member of a schema. If the schema is an `allOf`, a member of the part that has members.
#[track_caller]
fn member_of<'a>(schema: &'a mut Value, member: &str) -> &'a mut Value {
    let own = if schema.get("allOf").is_some() {
        let parts = schema["allOf"].as_array_mut().expect("a list");
        parts
            .iter_mut()
            .find(|part| part.get("properties").is_some())
    } else {
        Some(schema)
    };
    let own = own.expect("a schema has members");
    own["properties"]
        .get_mut(member)
        .unwrap_or_else(|| panic!("there is no {member}"))
}

/// Lists the values of texts that are names.
fn name_values(schemas: &mut Map<String, Value>) {
    let source = [FetchSource::Overview, FetchSource::Entity].map(FetchSource::as_str);
    let outcome = PartOutcome::ALL.map(PartOutcome::as_str);
    for (schema, member, values) in [
        (
            "Alias",
            "kind",
            &IdentifierKind::ALL.map(IdentifierKind::as_str)[..],
        ),
        ("Breaker", "state", &["closed", "open", "half_open"]),
        ("Budget", "mode", &["shared", "own share"]),
        (
            "Decision",
            "cache",
            &CacheStatus::ALL.map(CacheStatus::as_str),
        ),
        ("Fence", "part", &Part::ALL.map(Part::as_str)),
        ("PartDecision", "outcome", &outcome),
        ("PartDecision", "source", &source),
        ("PartDecision", "why", &Why::ALL.map(Why::as_str)),
        (
            "Provenance",
            "freshness",
            &["fresh", "stale", "expired", "dead"],
        ),
        ("Provenance", "source", &source),
        ("Readiness", "tokenKeys", &["off", "loaded", "not loaded"]),
        ("SharedValue", "source", &source),
        (
            "Webhooks",
            "state",
            &["off", "unknown", "working", "silent", "failing"],
        ),
    ] {
        let text = member_of(&mut schemas[schema], member);
        let mut names: Vec<_> = values.iter().map(|name| Value::from(*name)).collect();
        if text["type"].is_array() {
            names.push(Value::Null);
        }
        text["enum"] = names.into();
    }
}
