//! One operation for each row of the route table.

use http::Method;
use serde_json::{Map, Value, json};

use super::{headers, parameters, problems};
use crate::domain::IdentifierKind;

/// The operation of a route.
#[track_caller]
pub(super) fn of(method: &Method, path: &str) -> Value {
    match (method.as_str(), path) {
        ("GET", "/customer") => by_query(),
        ("GET", "/customer/me") => own(),
        ("POST", "/customer/lookup") => by_body(),
        ("POST", "/customer/prefetch") => prefetch(),
        ("POST", "/customer/changed") => changed(),
        ("POST", "/customer/batch") => batch(),
        ("POST", "/webhooks/engage") => webhook(),
        ("GET", "/livez") => probe("isAlive", "Whether the process serves requests.", path),
        ("GET", "/readyz") => probe("isReady", "Whether this replica accepts traffic.", path),
        _ => panic!("{method} {path} has no operation in the document"),
    }
}

/// The header fields of every request of a caller.
fn of_every_request() -> [Value; 2] {
    ["X-Request-Id", "traceparent"].map(parameters::reference)
}

fn by_query() -> Value {
    let identifiers = IdentifierKind::ALL.map(IdentifierKind::as_str);
    let mut parameters: Vec<_> = identifiers.map(parameters::reference).into();
    parameters.extend(["contactType", "prefer"].map(parameters::reference));
    parameters.extend(of_lookup());
    json!({
        "operationId": "getCustomer", "tags": ["customers"],
        "summary": "One customer, by one identifier",
        "description": "Exactly one of the identifiers. Values in URLs end up in access logs: prefer \
            `POST /customer/lookup`.",
        "security": callers("customer:read"),
        "parameters": parameters,
        "responses": answers("/customer"),
    })
}

fn own() -> Value {
    let mut parameters: Vec<_> = ["contactType", "prefer"].map(parameters::reference).into();
    parameters.extend(of_lookup());
    json!({
        "operationId": "getOwnCustomer", "tags": ["customers"],
        "summary": "The customer that a shopper's token identifies",
        "description": "By its contact id, else by its e-mail address: then `contactType` or `prefer` is needed, unless \
            `engage.default_contact_type` is set. The same page may send either for every shopper.",
        "security": [
            {"shopperToken": ["customer:read:self"]},
            {"shopperToken": ["customer:read:self"], "clientKey": ["customer:read"]},
        ],
        "parameters": parameters,
        "responses": answers("/customer/me"),
    })
}

fn by_body() -> Value {
    json!({
        "operationId": "lookUpCustomer", "tags": ["customers"],
        "summary": "One customer, by an identifier in the body",
        "security": callers("customer:read"),
        "parameters": parameters::header_references().collect::<Vec<_>>(),
        "requestBody": body("LookupRequest"),
        "responses": answers("/customer/lookup"),
    })
}

fn prefetch() -> Value {
    let path = "/customer/prefetch";
    json!({
        "operationId": "prefetchCustomer", "tags": ["customers"],
        "summary": "Has a customer cached before it is asked for",
        "description": "The answer says nothing of the customer.",
        "security": callers("customer:read"),
        "parameters": of_every_request(),
        "requestBody": body("PrefetchRequest"),
        "responses": with_problems(path, "202", empty("Accepted; also where nothing is to be done.")),
    })
}

fn changed() -> Value {
    let path = "/customer/changed";
    json!({
        "operationId": "reportChange", "tags": ["changes"],
        "summary": "A customer has just been changed at Engage, by the caller",
        "description": "Nothing that was fetched before is served any more. The answer says nothing of the customer.",
        "security": callers("customer:changed"),
        "parameters": of_every_request(),
        "requestBody": body("ChangeReport"),
        "responses": with_problems(path, "204", empty("It is in force.")),
    })
}

fn batch() -> Value {
    let path = "/customer/batch";
    let lines = json!({
        "description": "One line for each look-up, in the order in which they become known.",
        "headers": headers::of_response(&[]),
        "content": {"application/x-ndjson": {"schema": {
            "type": "array",
            "description": "Each line is an item.",
            "items": {"$ref": "#/components/schemas/BatchLine"},
        }}},
    });
    json!({
        "operationId": "lookUpCustomers", "tags": ["customers"],
        "summary": "Up to a hundred customers",
        "description": "Not for shoppers.",
        "security": [{"clientKey": ["customer:batch"]}],
        "parameters": of_every_request(),
        "requestBody": body("BatchRequest"),
        "responses": with_problems(path, "200", lines),
    })
}

fn webhook() -> Value {
    let path = "/webhooks/engage";
    let text = |name: &str, description: &str, pattern: &str| {
        json!({"name": name, "in": "header", "required": true, "description": description,
            "schema": {"type": "string", "pattern": pattern}})
    };
    json!({
        "operationId": "receiveWebhook", "tags": ["changes"],
        "summary": "A webhook of Engage's",
        "description": "Its form is Engage's: only ids are read, and what has changed is invalidated. The header fields may \
            also be named `webhook-id`, `webhook-timestamp` and `webhook-signature`.",
        "security": [{"webhookSignature": []}],
        "parameters": [
            text(
                "svix-id",
                "The id of the message; one that was taken before has no effect.",
                "^[\\x21-\\x7e]{1,256}$",
            ),
            text(
                "svix-timestamp",
                "When it was signed, in seconds since 1970.",
                "^[0-9]{1,11}$",
            ),
        ],
        "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": with_problems(path, "204", empty("Done, or nothing to do.")),
    })
}

fn probe(id: &str, summary: &str, path: &str) -> Value {
    let mut responses = with_problems(path, "200", empty("It does."));
    if path == "/readyz" {
        responses["503"] =
            empty("It does not; or, with a problem, there are too many connections.");
    }
    json!({
        "operationId": id, "tags": ["probes"], "summary": summary, "security": [], "responses": responses,
    })
}

/// The parameters of a look-up besides those that say whose it is, and its header fields.
fn of_lookup() -> impl Iterator<Item = Value> {
    let parameters = parameters::of_lookup().into_iter();
    parameters
        .map(|parameter| parameters::reference(parameter.name))
        .chain(parameters::header_references())
}

/// A client's key, a shopper's token, or both.
fn callers(scope: &str) -> Value {
    let of_token = match scope {
        "customer:read" => "customer:read:self",
        other => other,
    };
    json!([
        {"clientKey": [scope]},
        {"shopperToken": [of_token]},
        {"clientKey": [scope], "shopperToken": [of_token]},
    ])
}

fn body(schema: &str) -> Value {
    let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
    json!({"required": true, "content": {"application/json": {"schema": schema}}})
}

fn empty(description: &str) -> Value {
    json!({"description": description, "headers": headers::of_response(&[])})
}

fn with_problems(path: &str, status: &str, response: Value) -> Map<String, Value> {
    let mut responses = problems::responses(path, false);
    responses.insert(status.to_owned(), response);
    responses
}

/// The responses to a look-up of one customer.
fn answers(path: &str) -> Map<String, Value> {
    let mut responses = problems::responses(path, true);
    let schema = json!({"oneOf": [
        {"$ref": "#/components/schemas/Customer"},
        {"$ref": "#/components/schemas/Guest"},
    ]});
    let example: Value = serde_json::from_str(include_str!("example.json")).expect("JSON");
    let customer = json!({
        "description": "The customer.",
        "headers": headers::of_response(&["Age", "Cache-Status", "Content-Encoding", "ETag"]),
        "content": {"application/json": {"schema": schema, "example": example}},
    });
    responses.insert("200".to_owned(), customer);
    if path != "/customer/lookup" {
        let current = json!({
            "description": "The caller's copy is current.",
            "headers": headers::of_response(&["Age", "Cache-Status", "ETag"]),
        });
        responses.insert("304".to_owned(), current);
    }
    responses
}
