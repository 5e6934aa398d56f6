//! One operation for each row of the operations listener's route table. The console's files are left out: they are the
//! page's own, and contain no data.

pub(super) mod schemas;

use http::Method;
use serde_json::{Map, Value, json};

use super::{headers, parameters, problems};
use crate::{domain::IdentifierKind, http::error::Code};

/// The codes of every request but a probe's: its `Host` or `Origin` is refused, or the service has a defect.
const OF_ALL: &[Code] = &[Code::Forbidden, Code::Internal, Code::Overloaded];
/// Where `operations.token` is set.
const OF_TOKEN: &[Code] = &[Code::Unauthorized];
/// Those of a body with an identifier.
const OF_IDENTIFIER: &[Code] = &[Code::InvalidParameter, Code::InvalidContactType];
const OF_PROBES: &[Code] = &[Code::Forbidden, Code::Overloaded];

/// The operation of a route.
#[track_caller]
pub(super) fn of(method: &Method, path: &str) -> Value {
    match (method.as_str(), path) {
        ("GET", "/livez") => live(),
        ("GET", "/readyz") => ready(),
        ("GET", "/metrics") => metrics(),
        ("GET", "/events") => events(),
        ("GET", "/cache/stats") => stats(),
        ("GET", "/cache/decisions") => decisions(),
        ("GET", "/cache/enabled") => is_on(),
        ("PUT", "/cache/enabled") => switch(),
        ("POST", "/cache/explain") => explain(),
        ("POST", "/cache/purge") => purge(),
        ("DELETE", "/cache/contacts/{contactId}") => purge_contact(),
        ("POST", "/reload") => reload(),
        ("GET", "/openapi.json") => document("getOpenApi", "data"),
        ("GET", "/openapi-operations.json") => document("getOperationsOpenApi", "operations"),
        ("GET", "/docs") => page("getReference", "data"),
        ("GET", "/docs/operations") => page("getOperationsReference", "operations"),
        _ => panic!("{method} {path} has no operation in the document"),
    }
}

/// An operation that needs the token. `success`: the status and the response.
fn operation(
    [id, tag, summary]: [&str; 3],
    codes: &[&[Code]],
    (status, success): (&str, Value),
) -> Value {
    let codes = [OF_TOKEN, OF_ALL].into_iter().chain(codes.iter().copied());
    open(
        [id, tag, summary],
        codes,
        (status, success),
        &json!([{"operatorToken": []}]),
    )
}

/// An operation with this credential.
fn open<'a>(
    [id, tag, summary]: [&str; 3],
    codes: impl Iterator<Item = &'a [Code]>,
    (status, success): (&str, Value),
    security: &Value,
) -> Value {
    let codes: Vec<&Code> = codes.flatten().collect();
    let mut responses: Map<String, Value> = problems::of_codes(&codes, false);
    responses.insert(status.to_owned(), success);
    json!({
        "operationId": id, "tags": [tag], "summary": summary, "security": security,
        "parameters": [parameters::reference("X-Request-Id")],
        "responses": responses,
    })
}

fn live() -> Value {
    let summary = "Whether the process serves requests";
    let alive = ("200", empty("It does."));
    open(
        ["isAlive", "probes", summary],
        [OF_PROBES].into_iter(),
        alive,
        &json!([]),
    )
}

fn ready() -> Value {
    let summary = "Whether this replica accepts traffic, and the state of what it works with";
    let readiness = |description| of_schema(description, &reference("Readiness"));
    let is_ready = ("200", readiness("It does."));
    let mut ready = open(
        ["getReadiness", "probes", summary],
        [OF_PROBES].into_iter(),
        is_ready,
        &json!([]),
    );
    ready["description"] = "It depends on neither Engage nor the tier that replicas share.".into();
    let problem = ready["responses"]["503"]["content"]["application/problem+json"].take();
    ready["responses"]["503"] =
        readiness("It does not; or, with a problem, there are too many connections.");
    ready["responses"]["503"]["content"]["application/problem+json"] = problem;
    ready["responses"]["503"]["headers"] = json!(headers::of_response(&["Retry-After"]));
    ready
}

fn metrics() -> Value {
    let text = json!({
        "description": "Every metric, in OpenMetrics text.",
        "headers": headers::of_response(&[]),
        "content": {"application/openmetrics-text": {"schema": {"type": "string"}}},
    });
    open(
        ["getMetrics", "observation", "Metrics, for Prometheus"],
        [OF_ALL].into_iter(),
        ("200", text),
        &json!([]),
    )
}

fn events() -> Value {
    let stream = json!({
        "description": "Server-sent events, one a second: `samples` with every series, then `difference` with those that \
            changed. It ends when the replica shuts down.",
        "headers": headers::of_response(&["X-Accel-Buffering"]),
        "content": {"text/event-stream": {"schema": {
            "type": "object",
            "description": "Each event.",
            "required": ["event", "data"],
            "properties": {
                "event": {"type": "string", "enum": ["samples", "difference"]},
                "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": reference("Event")},
            },
        }}},
    });
    let summary = "Metrics and readiness as they change";
    let mut events = operation(["watch", "observation", summary], &[], ("200", stream));
    events["description"] =
        "At most 16 operators watch at once; the next is a 503 `Overloaded`.".into();
    events
}

fn stats() -> Value {
    let stats = of_schema(
        "The size of everything that is bounded.",
        &reference("CacheStats"),
    );
    operation(
        ["getStats", "cache", "How much is cached"],
        &[],
        ("200", stats),
    )
}

fn decisions() -> Value {
    let decisions = of_schema("The newest first, at most 200.", &reference("Decisions"));
    let summary = "Why the latest look-ups were answered as they were";
    let mut operation = operation(
        ["getDecisions", "cache", summary],
        &[&[Code::InvalidParameter]],
        ("200", decisions),
    );
    operation["description"] =
        "Of one contact, or of all. A plain hit is not among them. It is in the audit.".into();
    let contact = json!({
        "name": "contact", "in": "query", "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "description": "The digest of a contact, as in the audit and in `/cache/explain`. The only parameter.",
        "example": "4f0c1b2a3d4e5f60",
    });
    add_parameter(&mut operation, contact);
    operation
}

fn is_on() -> Value {
    let is_on = of_schema("Whether it is.", &json!({"type": "boolean"}));
    operation(
        ["isCacheEnabled", "cache", "Whether the cache is in use"],
        &[],
        ("200", is_on),
    )
}

fn switch() -> Value {
    let mut operation = operation(
        [
            "switchCache",
            "cache",
            "Switches the cache off or on, at this replica alone",
        ],
        &[&[Code::InvalidParameter, Code::PayloadTooLarge]],
        ("204", empty("It is in force.")),
    );
    operation["description"] = "Off, it is emptied too. It is in the audit.".into();
    operation["requestBody"] = body(&json!({"type": "boolean"}));
    operation
}

fn explain() -> Value {
    let explanation = of_schema("What is cached.", &reference("Explanation"));
    let mut operation = operation(
        [
            "explain",
            "cache",
            "What is cached for one identifier, and since when",
        ],
        &[OF_IDENTIFIER, problems::OF_IDENTIFIER, problems::OF_BODIES],
        ("200", explanation),
    );
    operation["description"] =
        "Here, and in the tier that replicas share. No value is returned: contacts appear as \
        digests. It is in the audit."
            .into();
    operation["requestBody"] = body(&reference("IdentifierRequest"));
    operation
}

fn purge() -> Value {
    let mut operation = operation(
        [
            "purge",
            "cache",
            "Purges everything, or every contact with an identifier",
        ],
        &[
            OF_IDENTIFIER,
            problems::OF_IDENTIFIER,
            problems::OF_BODIES,
            &[Code::NotShared],
        ],
        (
            "204",
            empty("Nothing that was fetched before is served any more."),
        ),
    );
    operation["description"] =
        "At every replica that shares the tier. Where nothing was cached it is a 204 too. It is \
        in the audit."
            .into();
    let of_identifier = reference("IdentifierRequest");
    operation["requestBody"] =
        body(&json!({"oneOf": [reference("PurgeEverything"), of_identifier]}));
    operation
}

fn purge_contact() -> Value {
    let mut operation = operation(
        ["purgeContact", "cache", "Purges one contact"],
        &[&[Code::InvalidContactId, Code::NotShared]],
        (
            "204",
            empty("Nothing of it that was fetched before is served any more."),
        ),
    );
    operation["description"] = "At every replica that shares the tier. It is in the audit.".into();
    let kind = IdentifierKind::ContactId.as_str();
    let contact_id = parameters::identifiers();
    let contact_id = contact_id.iter().find(|parameter| parameter.name == kind);
    let contact_id = contact_id.expect("one of the identifiers");
    let contact_id = json!({
        "name": kind, "in": "path", "required": true,
        "description": contact_id.description, "schema": contact_id.schema, "example": contact_id.example,
    });
    add_parameter(&mut operation, contact_id);
    operation
}

fn reload() -> Value {
    let reloaded = of_schema("It is in force.", &reference("Reloaded"));
    let mut operation = operation(
        [
            "reload",
            "configuration",
            "Reads the configuration of this replica anew",
        ],
        &[&[Code::InvalidConfiguration]],
        ("200", reloaded),
    );
    operation["description"] =
        "As SIGHUP does. With any mistake nothing changes, and `detail` lists them. It is in the \
        audit."
            .into();
    operation
}

fn document(id: &str, listener: &str) -> Value {
    let summary = format!("The description of the {listener} listener, in OpenAPI 3.1");
    let document = of_schema("The document.", &json!({"type": "object"}));
    operation([id, "descriptions", &summary], &[], ("200", document))
}

fn page(id: &str, listener: &str) -> Value {
    let summary = format!("The description of the {listener} listener, as a page");
    let page = json!({
        "description": "A page without scripts, which loads nothing.",
        "headers": headers::of_response(&["Content-Security-Policy"]),
        "content": {"text/html": {"schema": {"type": "string"}}},
    });
    operation([id, "descriptions", &summary], &[], ("200", page))
}

fn add_parameter(operation: &mut Value, parameter: Value) {
    let parameters = operation["parameters"].as_array_mut();
    parameters
        .expect("an operation has parameters")
        .insert(0, parameter);
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn body(schema: &Value) -> Value {
    json!({"required": true, "content": {"application/json": {"schema": schema}}})
}

fn empty(description: &str) -> Value {
    json!({"description": description, "headers": headers::of_response(&[])})
}

fn of_schema(description: &str, schema: &Value) -> Value {
    json!({
        "description": description,
        "headers": headers::of_response(&[]),
        "content": {"application/json": {"schema": schema}},
    })
}
