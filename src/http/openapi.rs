//! The OpenAPI documents of both listeners. Compiled for tests alone: they compare them with `docs/openapi.json` and
//! `docs/openapi-operations.json`, which the operations listener serves. The schemas are derived from the types that are
//! rendered, the operations belong to the rows of the route table, and the codes are those of `error::Code`.
//!
//! `UPDATE_OPENAPI=1 cargo nextest run --lib openapi` writes the documents anew. That answers agree with them is checked
//! by the harness of `tests/api`.

mod headers;
mod operations;
mod operators;
mod parameters;
mod problems;
mod reference;
mod requests;
mod schemas;
mod text;

use std::{collections::BTreeSet, env, fs, path::Path};

use serde_json::{Map, Value, json};

use super::routes::{Access, ListenerKind, ROUTES, Route};

/// The listeners, each with the file of its document, as committed.
const DOCUMENTS: [(ListenerKind, &str, &str); 2] = [
    (
        ListenerKind::Data,
        "docs/openapi.json",
        include_str!("../../docs/openapi.json"),
    ),
    (
        ListenerKind::Operations,
        "docs/openapi-operations.json",
        include_str!("../../docs/openapi-operations.json"),
    ),
];

/// The kinds of components that are described once for both documents.
const SHARED_KINDS: [&str; 3] = ["parameters", "headers", "schemas"];

/// The document of a listener, as the code describes it.
fn document(listener: ListenerKind) -> Value {
    let mut document = complete_document(listener);
    remove_unused(&mut document);
    document
}

/// The document with every component that is described.
fn complete_document(listener: ListenerKind) -> Value {
    let mut responses = Responses::default();
    let paths = paths(listener, &mut responses);
    let about = text::about(listener);
    let schemas = match listener {
        ListenerKind::Data => schemas::all(),
        ListenerKind::Operations => operators::schemas::all(),
    };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": about.title,
            "summary": about.summary,
            "description": about.description,
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/", "description": about.server}],
        "tags": about.tags,
        "paths": paths,
        "components": {
            "securitySchemes": about.security_schemes,
            "parameters": parameters::all(),
            "headers": headers::all(),
            "responses": responses.components,
            "schemas": schemas,
        },
    })
}

/// Removes the components that only the other document refers to.
fn remove_unused(document: &mut Value) {
    loop {
        let mut found = Vec::new();
        references(document, &mut found);
        let found: BTreeSet<String> = found.into_iter().map(str::to_owned).collect();
        let mut is_removed = false;
        for kind in SHARED_KINDS {
            let components = document["components"][kind].as_object_mut();
            let components = components.expect("an object");
            let before = components.len();
            components.retain(|name, _| found.contains(&format!("#/components/{kind}/{name}")));
            is_removed |= components.len() < before;
        }
        if !is_removed {
            return;
        }
    }
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

/// The operations of a listener's routes. The console's files are the page's own.
fn paths(listener: ListenerKind, responses: &mut Responses) -> Map<String, Value> {
    let mut paths = Map::new();
    let is_described =
        |route: &&Route| route.listener() == listener && route.access != Access::Page;
    for route in ROUTES.iter().filter(is_described) {
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        let method = route.method.as_str().to_ascii_lowercase();
        methods[&method] = match listener {
            ListenerKind::Data => operations::of(&route.method, route.path),
            ListenerKind::Operations => operators::of(&route.method, route.path),
        };
        responses.share(&mut methods[&method]);
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
fn committed_documents_are_what_the_code_describes() {
    for (listener, file, committed) in DOCUMENTS {
        let described = serde_json::to_string_pretty(&document(listener)).expect("JSON");
        assert_committed(file, committed, &format!("{described}\n"));
    }
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
    let documents = DOCUMENTS.map(|(listener, ..)| document(listener));
    let mut used = BTreeSet::new();
    for document in &documents {
        let mut found = Vec::new();
        references(document, &mut found);
        for reference in &found {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        used.extend(found);
    }
    for (listener, ..) in DOCUMENTS {
        let described = complete_document(listener);
        for kind in SHARED_KINDS.into_iter().chain(["responses"]) {
            let components = described["components"][kind].as_object();
            for name in components.expect("an object").keys() {
                let reference = format!("#/components/{kind}/{name}");
                assert!(used.contains(&*reference), "{reference} is not used");
            }
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
    let document = document(ListenerKind::Data);
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
