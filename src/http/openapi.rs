//! Compares the OpenAPI documents of both listeners, `docs/openapi.json` and `docs/openapi-operations.json`, with the
//! code. Compiled for tests alone.
//!
//! The documents are written by hand, except for what is derived from the code: the schemas of types that are rendered,
//! the names of enumerations, the problems of each code, and what several places have in common ([`copies`]).
//! `UPDATE_OPENAPI=1 cargo nextest run --lib openapi` writes all that into them, and makes the pages of the reference.
//! The harness of `tests/api` checks that responses agree with the documents.

mod copies;
mod operator_schemas;
mod problems;
mod reference;
mod schemas;

use std::{collections::BTreeSet, env, fs, path::Path};

use serde_json::Value;

use super::routes::{Access, ListenerKind, ROUTES};

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

/// The document of a listener, with everything that is derived from the code written into it.
fn document(listener: ListenerKind) -> Value {
    let (.., committed) = DOCUMENTS
        .into_iter()
        .find(|(of, ..)| *of == listener)
        .expect("every listener has a document");
    let mut document: Value = serde_json::from_str(committed).expect("JSON");
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    let derived = match listener {
        ListenerKind::Data => schemas::all(),
        ListenerKind::Operations => operator_schemas::all(),
    };
    for (name, schema) in derived {
        document["components"]["schemas"][name] = schema;
    }
    problems::write(&mut document);
    copies::write(&mut document, listener);
    document
}

/// Compares a committed file with what it has to be, or writes it anew.
#[track_caller]
fn assert_committed(file: &str, committed: &str, described: &str) {
    #[expect(clippy::disallowed_methods, reason = "not a setting of the service")]
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
fn committed_documents_say_what_the_code_says() {
    for (listener, file, committed) in DOCUMENTS {
        let described = serde_json::to_string_pretty(&document(listener)).expect("JSON");
        assert_committed(file, committed, &format!("{described}\n"));
    }
}

/// The console's page and files (`Access::Page`) are not described.
#[test]
fn operations_are_the_routes_of_the_listener() {
    for (listener, ..) in DOCUMENTS {
        let document = document(listener);
        let paths = document["paths"].as_object().expect("an object");
        let described: BTreeSet<_> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().expect("an object").keys();
                methods.map(move |method| (&**path, method.to_ascii_uppercase()))
            })
            .collect();
        let routes: BTreeSet<_> = ROUTES
            .iter()
            .filter(|route| route.listener() == listener && route.access != Access::Page)
            .map(|route| (route.path, route.method.to_string()))
            .collect();
        assert_eq!(described, routes);
    }
}

/// Every reference in a JSON value.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
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
    for (listener, ..) in DOCUMENTS {
        let document = document(listener);
        let mut used = BTreeSet::new();
        references(&document, &mut used);
        for reference in &used {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        for kind in ["headers", "parameters", "responses", "schemas"] {
            let components = document["components"][kind].as_object();
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
