//! The OpenAPI document of the data listener. Compiled for tests alone: they compare it with `docs/openapi.json`, which
//! the operations listener serves. The schemas are derived from the types that are rendered, the operations belong to
//! the rows of the route table, and the codes are those of `error::Code`.
//!
//! `UPDATE_OPENAPI=1 cargo nextest run --lib openapi` writes the document anew. That answers agree with it is checked by
//! the harness of `tests/api`.

mod headers;
mod operations;
mod parameters;
mod problems;
mod reference;
mod requests;
mod schemas;
mod text;

use std::{env, fs, path::Path};

use serde_json::{Map, Value, json};

use super::routes::{ListenerKind, ROUTES};

/// The document, as committed.
const DOCUMENT: &str = include_str!("../../docs/openapi.json");

/// The document, as the code describes it.
fn document() -> Value {
    let mut responses = Responses::default();
    let paths = paths(&mut responses);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "engage-bff",
            "summary": "Customers of Voyado Engage, from a cache in front of it",
            "description": text::DESCRIPTION,
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The data listener (`server.listen`)"}],
        "tags": text::tags(),
        "paths": paths,
        "components": {
            "securitySchemes": text::security_schemes(),
            "parameters": parameters::all(),
            "headers": headers::all(),
            "responses": responses.components,
            "schemas": schemas::all(),
        },
    })
}

/// The responses with problems. Operations with the same codes of a status share one.
#[derive(Default)]
struct Responses {
    components: Map<String, Value>,
}

impl Responses {
    /// Replaces an operation's problems by references.
    fn share(&mut self, operation: &mut Value) {
        let id = operation["operationId"].as_str().map(str::to_owned);
        let id = id.expect("an operation has an id");
        let responses = operation["responses"].as_object_mut();
        for (status, response) in responses.expect("an operation has responses") {
            if response
                .pointer("/content/application~1problem+json")
                .is_none()
            {
                continue;
            }
            let mut known = self.components.iter();
            let known = known.find(|(_, known)| known == &response);
            let name = match known {
                Some((name, _)) => name.clone(),
                None => format!("{id}-{status}"),
            };
            let reference = json!({"$ref": format!("#/components/responses/{name}")});
            let response = std::mem::replace(response, reference);
            self.components.insert(name, response);
        }
    }
}

/// The operations of the data listener's routes.
fn paths(responses: &mut Responses) -> Map<String, Value> {
    let mut paths = Map::new();
    for route in &ROUTES {
        if route.listener() == ListenerKind::Data {
            let methods = paths.entry(route.path).or_insert_with(|| json!({}));
            let method = route.method.as_str().to_ascii_lowercase();
            methods[&method] = operations::of(&route.method, route.path);
            responses.share(&mut methods[&method]);
        }
    }
    paths
}

/// Compares a committed file with what the code describes, or writes it anew.
#[track_caller]
fn assert_committed(file: &str, committed: &str, described: &str) {
    #[expect(clippy::disallowed_methods, reason = "no setting of the service")]
    let is_update = env::var_os("UPDATE_OPENAPI").is_some();
    if is_update {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        fs::write(path, described).expect("the file can be written");
        return;
    }
    let hint = "UPDATE_OPENAPI=1 cargo nextest run --lib openapi";
    assert!(committed == described, "{file} is not current: {hint}");
}

#[test]
fn committed_document_is_what_the_code_describes() {
    let described = serde_json::to_string_pretty(&document()).expect("JSON");
    assert_committed("docs/openapi.json", DOCUMENT, &format!("{described}\n"));
}

/// Every reference in a JSON value.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                found.push(reference);
            }
            members
                .values()
                .for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_resolves_and_every_component_is_used() {
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for kind in ["parameters", "headers", "responses", "schemas"] {
        let components = document["components"][kind].as_object().expect("an object");
        for name in components.keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(found.contains(&&*reference), "{reference} is not used");
        }
    }
}

#[test]
fn parameters_are_those_of_the_table_in_the_api_document() {
    let page = include_str!("../../docs/API.md");
    let mut listed: Vec<&str> = page
        .lines()
        .skip_while(|line| *line != "| parameter | value |")
        .skip(2)
        .map_while(|line| line.strip_prefix("| `"))
        .filter_map(|row| row.split('`').next())
        .collect();
    let document = document();
    let described = document["components"]["parameters"].as_object();
    let mut described: Vec<&str> = described
        .expect("an object")
        .values()
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| parameter["name"].as_str())
        .collect();
    listed.sort_unstable();
    described.sort_unstable();
    assert_eq!(described, listed);
}
