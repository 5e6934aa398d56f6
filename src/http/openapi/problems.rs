//! The responses with problems. The document names the codes of each in its description; the rest follows from them.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::http::error::{Code, title};

/// What a description ends with where the code may be one of Engage's.
const OF_ENGAGE: &str = ", or a code of Engage's";

/// Writes the responses of a document that are problems alone.
pub(super) fn write(document: &mut Value) {
    let responses = document["components"]["responses"].as_object_mut();
    for (name, response) in responses.expect("an object") {
        let content = response["content"].as_object();
        if content.is_some_and(|content| content.keys().any(|media| media != PROBLEM)) {
            continue;
        }
        let description = response["description"].as_str().expect("a description");
        *response = described(name, description);
    }
}

const PROBLEM: &str = "application/problem+json";

/// The response with the codes that its description names. Its own name ends with the status.
fn described(name: &str, description: &str) -> Value {
    let named = description.strip_suffix(OF_ENGAGE);
    let codes: Vec<_> = named
        .unwrap_or(description)
        .split(", ")
        .map(|code| Code::OWN.iter().find(|known| known.as_str() == code))
        .map(|code| code.unwrap_or_else(|| panic!("{name} names an unknown code: {description}")))
        .collect();
    let status = codes[0].status();
    assert!(name.ends_with(status.as_str()), "{name}: {description}");
    let is_of_status = |code: &&Code| code.status() == status;
    assert!(codes.iter().all(is_of_status), "{name}: {description}");
    let code = match named {
        Some(_) => json!({"type": "string"}),
        None => json!({"enum": codes.iter().map(|code| code.as_str()).collect::<Vec<_>>()}),
    };
    let status_member = json!({"const": status.as_u16()});
    json!({
        "description": description,
        "headers": header_fields(status),
        "content": {PROBLEM: {
            "schema": {"allOf": [
                {"$ref": "#/components/schemas/Problem"},
                {"type": "object", "properties": {"code": code, "status": status_member}},
            ]},
            "example": example(status, codes[0]),
        }},
    })
}

/// The header fields that a problem of this status has in addition to those of every response.
fn header_fields(status: StatusCode) -> Map<String, Value> {
    let own: &[&str] = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => &["WWW-Authenticate"],
        StatusCode::TOO_MANY_REQUESTS => &["Retry-After", "RateLimit", "RateLimit-Policy"],
        StatusCode::UNSUPPORTED_MEDIA_TYPE => &["Accept", "Accept-Encoding"],
        StatusCode::SERVICE_UNAVAILABLE => &["Retry-After"],
        _ => &[],
    };
    let reference = |name: &&str| {
        let reference = json!({"$ref": format!("#/components/headers/{name}")});
        ((*name).to_owned(), reference)
    };
    own.iter().map(reference).collect()
}

fn example(status: StatusCode, code: &Code) -> Value {
    json!({
        "type": "about:blank",
        "title": title(status),
        "status": status.as_u16(),
        "detail": code.detail(),
        "code": code.as_str(),
        "requestId": "04ff3a7c-3285-4143-80a5-caf3991a8076",
        "retryable": code.is_retryable(),
    })
}

/// An operation's responses are of the status under which they stand.
#[test]
fn responses_stand_under_their_status() {
    for (listener, ..) in super::DOCUMENTS {
        let document = super::document(listener);
        let paths = document["paths"].as_object().expect("paths").values();
        let operations = paths.flat_map(|methods| methods.as_object().expect("methods").values());
        for operation in operations {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let reference = response["$ref"].as_str();
                let is_it = reference.is_none_or(|name| name.ends_with(&**status));
                assert!(is_it, "{status} of {}", operation["operationId"]);
            }
        }
    }
}
