//! Bodies of requests.

use serde_json::{Map, Value, json};

use super::parameters::{self, Parameter};
use crate::domain::{Part, PartSet};

/// The schemas of bodies.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        (
            "LookupRequest",
            with_identifier(
                "A look-up: one identifier and the parameters of `GET /customer`.",
                [parameters::narrowing(), parameters::preferred()]
                    .into_iter()
                    .chain(parameters::of_lookup()),
            ),
        ),
        (
            "PrefetchRequest",
            with_identifier(
                "A look-up without what would shape an answer.",
                [parameters::narrowing(), parameters::preferred(), parts()].into_iter(),
            ),
        ),
        ("ChangeReport", change_report()),
        (
            "BatchLookup",
            with_identifier(
                "One look-up of a batch.",
                [parameters::narrowing()].into_iter(),
            ),
        ),
        ("BatchRequest", batch()),
    ]
}

/// The optional parts, which are requested where there is no customer to answer with.
fn parts() -> Parameter {
    let names = [Part::Points, Part::Promotions, Part::Vouchers].map(Part::as_str);
    Parameter {
        name: "parts",
        description: "What is needed besides profile and audiences; `[]`: nothing.",
        schema: json!({"type": "array", "uniqueItems": true, "items": {"type": "string", "enum": names}}),
        example: json!(["points"]),
    }
}

fn change_report() -> Value {
    let parts = PartSet::INVALIDATABLE
        .iter()
        .map(Part::as_str)
        .collect::<Vec<_>>();
    let parts = Parameter {
        name: "parts",
        description: "What has changed. Default: all of them.",
        schema: json!({"type": "array", "uniqueItems": true, "minItems": 1,
            "items": {"type": "string", "enum": parts}}),
        example: json!(["vouchers", "points"]),
    };
    with_identifier(
        "A report of a change at Engage: the customer, and what has changed.",
        [parameters::narrowing(), parts].into_iter(),
    )
}

fn batch() -> Value {
    let common = parameters::of_lookup().into_iter();
    let common = common
        .filter(|parameter| ["view", "channel"].contains(&parameter.name))
        .chain([parts()]);
    let mut properties = properties(common);
    properties.insert(
        "lookups".to_owned(),
        json!({
            "type": "array", "minItems": 1, "maxItems": 100,
            "items": {"$ref": "#/components/schemas/BatchLookup"},
            "description": "Each is answered by a line of its own.",
        }),
    );
    properties.insert(
        "deadline".to_owned(),
        json!({
            "type": "string", "pattern": "^([1-9][0-9]{2,3}ms|([1-9]|10)s)$", "default": "5s",
            "description": "When the batch ends: `100ms` to `10s`.",
        }),
    );
    json!({
        "type": "object", "description": "Up to a hundred look-ups, and what they have in common.",
        "required": ["lookups"], "properties": properties, "additionalProperties": false,
        "example": {"lookups": [{"contactId": "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01"}], "parts": ["points"]},
    })
}

/// The bodies of operators' requests.
pub(super) fn of_operators() -> Vec<(&'static str, Value)> {
    let everything = json!({
        "type": "object", "description": "Everything.", "required": ["all"],
        "properties": {"all": {"type": "boolean", "const": true}}, "additionalProperties": false,
    });
    let description = "One identifier, of any kind.";
    let identifier = with_identifier(description, [parameters::narrowing()].into_iter());
    vec![
        ("PurgeEverything", everything),
        ("IdentifierRequest", identifier),
    ]
}

/// An object with exactly one identifier, and these members.
fn with_identifier(description: &str, others: impl Iterator<Item = Parameter>) -> Value {
    let identifiers = parameters::identifiers();
    let one_of: Vec<_> = identifiers
        .iter()
        .map(|identifier| json!({"required": [identifier.name]}))
        .collect();
    json!({
        "type": "object", "description": description,
        "properties": properties(identifiers.into_iter().chain(others)),
        "additionalProperties": false,
        "oneOf": one_of,
        "example": {"email": "alva.testsson@example.com", "contactType": "Member"},
    })
}

fn properties(parameters: impl Iterator<Item = Parameter>) -> Map<String, Value> {
    parameters
        .map(|parameter| {
            let mut schema = parameter.schema;
            // What is said of a query is said of it alone.
            let description = parameter
                .description
                .replace(" In a query `+` is written `%2B`.", "");
            let description = match description.split_once(" In a query it is a 400 ") {
                Some((body, _)) => body.to_owned(),
                None => description,
            };
            schema["description"] = description.into();
            (parameter.name.to_owned(), schema)
        })
        .collect()
}
