//! What the documents say in several places: written in one of them, or in the code, and copied to the others.

use serde_json::{Value, json};

use super::DOCUMENTS;
use crate::{
    domain::{Channel, HistoryPart, IdentifierKind, Part, PartSet},
    http::routes::ListenerKind,
};

/// The header fields of every response; `Server-Timing` is left out for shoppers.
const OF_EVERY_RESPONSE: [&str; 7] = [
    "Cache-Control",
    "CDN-Cache-Control",
    "Referrer-Policy",
    "Server-Timing",
    "Vary",
    "X-Content-Type-Options",
    "X-Request-Id",
];

/// The parameters that are lists. In a body they have other schemas and descriptions.
const LISTS: [&str; 2] = ["parts", "fresh"];

/// Writes what is copied into a document.
pub(super) fn write(document: &mut Value, listener: ListenerKind) {
    let (_, _, of_data) = DOCUMENTS[0];
    let of_data: Value = serde_json::from_str(of_data).expect("JSON");
    if listener == ListenerKind::Data {
        write_names(document);
    } else {
        copy_components(&of_data, document);
    }
    write_bodies(&of_data["components"]["parameters"], document);
    write_header_fields(document);
}

/// The components that both documents have are described in the one of the data listener.
fn copy_components(of_data: &Value, document: &mut Value) {
    for kind in ["headers", "parameters"] {
        let components = document["components"][kind].as_object_mut();
        for (name, component) in components.expect("an object") {
            if let Some(of_data) = of_data["components"][kind].get(name) {
                component.clone_from(of_data);
            }
        }
    }
}

/// Lists the names that parameters may have as values.
fn write_names(document: &mut Value) {
    let optional = [Part::Points, Part::Promotions, Part::Vouchers].map(Part::as_str);
    let history = HistoryPart::ALL.map(HistoryPart::as_str);
    let parts = [&optional[..], &history].concat();
    let in_query = [&parts[..], &["none"]].concat();
    let fresh = [&optional[..], &[Part::Profile.as_str()], &history, &["all"]].concat();
    let changed: Vec<_> = PartSet::INVALIDATABLE.iter().map(Part::as_str).collect();
    let channels = Channel::ALL.map(Channel::as_str);
    for (place, names) in [
        ("parameters/channel/schema", &channels[..]),
        ("parameters/fresh/schema/items", &fresh),
        ("parameters/parts/schema/items", &in_query),
        ("schemas/BatchRequest/properties/parts/items", &optional),
        ("schemas/ChangeReport/properties/parts/items", &changed),
        ("schemas/LookupRequest/properties/fresh/items", &fresh),
        ("schemas/LookupRequest/properties/parts/items", &parts),
        ("schemas/PrefetchRequest/properties/parts/items", &optional),
    ] {
        let of_names = document.pointer_mut(&format!("/components/{place}"));
        of_names.unwrap_or_else(|| panic!("there is no {place}"))["enum"] = json!(names);
    }
}

/// A body has exactly one of the identifiers. Its members get the schemas and descriptions of the query parameters of
/// the same names.
fn write_bodies(parameters: &Value, document: &mut Value) {
    let identifiers = IdentifierKind::ALL.map(IdentifierKind::as_str);
    let schemas = document["components"]["schemas"].as_object_mut();
    let is_body = |schema: &&mut Value| schema["additionalProperties"] == false;
    for body in schemas.expect("an object").values_mut().filter(is_body) {
        if body.get("oneOf").is_some() {
            body["oneOf"] = identifiers.map(|name| json!({"required": [name]})).into();
            for name in identifiers {
                assert!(parameters.get(name).is_some(), "{name} is no parameter");
                body["properties"][name] = Value::Null;
            }
        }
        for (name, member) in body["properties"].as_object_mut().expect("members") {
            if let Some(parameter) = parameters.get(name)
                && !LISTS.contains(&&**name)
            {
                *member = parameter["schema"].clone();
                member["description"] = without_query(&parameter["description"]).into();
            }
        }
    }
}

/// A description without its last sentence, where that begins with `In a query` and is about queries alone.
fn without_query(description: &Value) -> &str {
    let description = description.as_str().expect("a description");
    let sentence = description.split_once(" In a query ");
    sentence.map_or(description, |(of_any, _)| of_any)
}

/// Every response has these header fields besides its own.
fn write_header_fields(document: &mut Value) {
    let write = |responses: &mut Value| {
        let responses = responses.as_object_mut().expect("responses").values_mut();
        for response in responses.filter(|response| response.get("$ref").is_none()) {
            for name in OF_EVERY_RESPONSE {
                let reference = format!("#/components/headers/{name}");
                response["headers"][name] = json!({"$ref": reference});
            }
        }
    };
    write(&mut document["components"]["responses"]);
    let paths = document["paths"].as_object_mut().expect("paths");
    for methods in paths.values_mut() {
        let operations = methods.as_object_mut().expect("methods").values_mut();
        operations.for_each(|operation| write(&mut operation["responses"]));
    }
}
