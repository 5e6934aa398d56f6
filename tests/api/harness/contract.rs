//! Compares responses with `docs/openapi.json`. It is stricter than clients may be: a member, a status or a header field
//! that the document does not name is an error. Of JSON Schema it knows what the document's responses use, and refuses
//! the rest.

use std::{
    collections::BTreeSet,
    sync::{LazyLock, Mutex, PoisonError},
};

use flate2::read::GzDecoder;
use reqwest::{Method, header::HeaderMap};
use serde_json::{Map, Value};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../docs/openapi.json")).expect("JSON")
});

/// The members, as pointers into the document, that responses of this process had with a value other than `null`.
static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The fields that HTTP itself adds, and those of CORS, which docs/API.md describes.
const OF_HTTP: [&str; 5] = [
    "connection",
    "content-length",
    "content-type",
    "date",
    "transfer-encoding",
];

/// A schema and where it is in the document.
#[derive(Clone)]
struct Schema<'a> {
    pointer: String,
    value: &'a Value,
}

impl<'a> Schema<'a> {
    fn at(pointer: &str) -> Self {
        let value = DOCUMENT.pointer(pointer);
        let value = value.unwrap_or_else(|| panic!("{pointer} is not in the document"));
        Self {
            pointer: pointer.to_owned(),
            value,
        }
        .resolved()
    }

    fn resolved(self) -> Self {
        match self.value.get("$ref").and_then(Value::as_str) {
            Some(reference) => Self::at(reference.strip_prefix('#').expect("within the document")),
            None => self,
        }
    }

    fn get(&self, key: &str) -> Option<Schema<'a>> {
        let escaped = key.replace('~', "~0").replace('/', "~1");
        let child = Schema {
            pointer: format!("{}/{escaped}", self.pointer),
            value: self.value.get(key)?,
        };
        Some(child.resolved())
    }

    fn each(&self, key: &str) -> Vec<Schema<'a>> {
        let Some(Value::Array(items)) = self.value.get(key) else {
            return Vec::new();
        };
        let child = |(index, value): (usize, &'a Value)| {
            let pointer = format!("{}/{key}/{index}", self.pointer);
            Schema { pointer, value }.resolved()
        };
        items.iter().enumerate().map(child).collect()
    }

    /// The members that it names, those of `allOf` included.
    fn members(&self) -> BTreeSet<&'a str> {
        let own = self.value.get("properties").and_then(Value::as_object);
        let own = own.into_iter().flat_map(Map::keys).map(String::as_str);
        let of_all = self.each("allOf");
        own.chain(of_all.iter().flat_map(Schema::members)).collect()
    }
}

/// Compares a response with what the document says of its operation. A path or method that is not in it is a problem.
#[track_caller]
pub(crate) fn check(method: &Method, path: &str, status: u16, headers: &HeaderMap, body: &[u8]) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let content_type = text("content-type");
    let is_gzip = text("content-encoding") == Some("gzip");
    let body = if is_gzip {
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut GzDecoder::new(body), &mut plain).expect("gzip");
        plain
    } else {
        body.to_vec()
    };
    let is_head = *method == Method::HEAD;
    // Methods are case-sensitive: `get` is another than `GET`.
    let method = match *method {
        Method::GET | Method::HEAD => "get",
        Method::POST => "post",
        _ => "(other)",
    };
    let escaped = path.replace('/', "~1");
    let is_probe = ["/livez", "/readyz"].contains(&path);
    let operation = format!("/paths/{escaped}/{method}");
    // Of any operation, if hyper can't read the head.
    let is_of_head = status == 431;
    if DOCUMENT.pointer(&operation).is_none() || is_probe || is_of_head {
        if content_type == Some("application/problem+json") && !is_head {
            assert_valid(&Schema::at("/components/schemas/Problem"), &body);
        }
        return;
    }
    let response = Schema::at(&format!("{operation}/responses/{status}"));
    let known = response.value["headers"].as_object();
    for name in headers.keys().map(reqwest::header::HeaderName::as_str) {
        let is_known =
            known.is_some_and(|known| known.keys().any(|key| key.eq_ignore_ascii_case(name)));
        let is_of_http = OF_HTTP.contains(&name) || name.starts_with("access-control-");
        assert!(
            is_known || is_of_http,
            "{name} is not in the document: {path} {status}"
        );
    }
    let Some(content) = response.get("content") else {
        assert!(body.is_empty(), "{path} {status} has a body");
        return;
    };
    let content_type = content_type.unwrap_or_default();
    let media = content.get(content_type);
    let media = media.unwrap_or_else(|| panic!("{content_type} of {path} {status}"));
    let schema = media.get("schema").expect("a schema");
    if is_head {
        return;
    }
    if content_type == "application/x-ndjson" {
        let line = schema.get("items").expect("the schema of a line");
        let lines = body.split(|byte| *byte == b'\n');
        for text in lines.filter(|text| !text.is_empty()) {
            assert_valid(&line, text);
        }
    } else {
        assert_valid(&schema, &body);
    }
}

/// The same of the bytes of a response. Text that is not UTF-8, as in gzip, is not compared.
#[track_caller]
pub(crate) fn check_raw(request: &str, response: &str) {
    let mut line = request.split(' ');
    let (Some(method), Some(target)) = (line.next(), line.next()) else {
        return;
    };
    let (Ok(method), Some((head, body))) = (method.parse(), response.split_once("\r\n\r\n")) else {
        return;
    };
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12)?.parse().ok());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (name.parse::<reqwest::header::HeaderName>(), value.parse())
        {
            headers.append(name, value);
        }
    }
    // The rest of the connection follows the body.
    let length = headers.get("content-length");
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let body = body
        .as_bytes()
        .get(..length.unwrap_or(0))
        .unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    if !headers.contains_key("content-encoding") {
        let status = status.expect("a status");
        let body = if method == Method::HEAD || status == 304 {
            &[]
        } else {
            body
        };
        check(&method, path, status, &headers, body);
    }
}

#[track_caller]
fn assert_valid(schema: &Schema<'_>, body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    let value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error} in {text}"));
    if let Err(error) = validate(schema, &value, "", None) {
        panic!("not as in docs/openapi.json: {error}: {text}");
    }
}

/// Why a value is not valid: where, and what is expected there. `members`: those that are allowed besides the schema's
/// own.
fn validate(
    schema: &Schema<'_>,
    value: &Value,
    place: &str,
    members: Option<&BTreeSet<&str>>,
) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what} at {place:?} by {}", schema.pointer));
    let keywords = schema.value.as_object().expect("an object");
    for (keyword, expected) in keywords {
        let is_valid = match keyword.as_str() {
            "type" => match expected {
                Value::Array(types) => types.iter().any(|expected| is_of_type(expected, value)),
                expected => is_of_type(expected, value),
            },
            "const" => expected == value,
            "enum" => expected
                .as_array()
                .is_some_and(|known| known.contains(value)),
            "maxLength" | "maxItems" | "maxProperties" => length(value) <= expected.as_u64(),
            "minimum" => value.as_f64() >= expected.as_f64(),
            "format" => has_format(expected, value),
            "required" => {
                let names = expected.as_array().into_iter().flatten();
                let mut names = names.filter_map(Value::as_str);
                !value.is_object() || names.all(|name| value.get(name).is_some())
            }
            // Below, or without an effect.
            "properties" | "items" | "oneOf" | "anyOf" | "allOf" | "description" | "deprecated"
            | "discriminator" | "examples" => true,
            other => panic!("the keyword {other} is not known here"),
        };
        if !is_valid {
            return wrong(keyword);
        }
    }
    let named = schema.members();
    let members = members.unwrap_or(&named);
    for part in schema.each("allOf") {
        validate(&part, value, place, Some(members))?;
    }
    let any_of = schema.each("anyOf");
    let is_one = |part: &Schema<'_>| validate(part, value, place, None).is_ok();
    if !any_of.is_empty() && !any_of.iter().any(is_one) {
        return wrong("anyOf");
    }
    validate_choice(schema, value, place)?;
    if let (Some(items), Value::Array(values)) = (schema.get("items"), value) {
        for (index, value) in values.iter().enumerate() {
            validate(&items, value, &format!("{place}/{index}"), None)?;
        }
    }
    let (Some(properties), Value::Object(object)) = (schema.get("properties"), value) else {
        return Ok(());
    };
    for (name, value) in object {
        let place = format!("{place}/{name}");
        if let Some(member) = properties.get(name) {
            validate(&member, value, &place, None)?;
            if !value.is_null() {
                note_seen(format!("{}/properties/{name}", schema.pointer));
            }
        } else if !members.contains(&**name) {
            return Err(format!("{place} is not in {}", schema.pointer));
        }
    }
    Ok(())
}

/// Exactly one of `oneOf` is valid. With one error, that of the closest.
fn validate_choice(schema: &Schema<'_>, value: &Value, place: &str) -> Result<(), String> {
    let one_of = schema.each("oneOf");
    if one_of.is_empty() {
        return Ok(());
    }
    let results: Vec<_> = one_of
        .iter()
        .map(|part| validate(part, value, place, None))
        .collect();
    match results.iter().filter(|result| result.is_ok()).count() {
        1 => Ok(()),
        0 => {
            let errors = results.into_iter().filter_map(Result::err);
            Err(errors.collect::<Vec<_>>().join("; "))
        }
        _ => Err(format!("more than one of {} at {place:?}", schema.pointer)),
    }
}

fn is_of_type(expected: &Value, value: &Value) -> bool {
    match expected.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        other => panic!("the type {other:?} is not known here"),
    }
}

fn length(value: &Value) -> Option<u64> {
    let length = match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => return Some(0),
    };
    u64::try_from(length).ok()
}

fn has_format(expected: &Value, value: &Value) -> bool {
    let text = value.as_str();
    match expected.as_str() {
        // In UTC, with milliseconds.
        Some("date-time") => text.is_none_or(|text| {
            text.len() == 24 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
        }),
        Some("uuid") => text.is_none_or(|text| uuid::Uuid::parse_str(text).is_ok()),
        Some("decimal" | "int32" | "int64") => value.is_number() || value.is_null(),
        other => panic!("the format {other:?} is not known here"),
    }
}

fn note_seen(pointer: String) {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.insert(pointer);
}

/// The members of the document's responses, as pointers, that no response of this process had.
pub(crate) fn never_seen() -> Vec<String> {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all = BTreeSet::new();
    for line in ["Customer", "Problem", "BatchLine"] {
        collect(
            &Schema::at(&format!("/components/schemas/{line}")),
            &mut all,
        );
    }
    all.into_iter()
        .filter(|pointer| !seen.contains(pointer))
        .collect()
}

/// The members that a schema names, at any depth.
fn collect(schema: &Schema<'_>, all: &mut BTreeSet<String>) {
    for key in ["oneOf", "anyOf", "allOf"] {
        schema.each(key).iter().for_each(|part| collect(part, all));
    }
    if let Some(items) = schema.get("items") {
        collect(&items, all);
    }
    let Some(properties) = schema.get("properties") else {
        return;
    };
    for name in schema.members() {
        let pointer = format!("{}/properties/{name}", schema.pointer);
        let member = properties.get(name).expect("one of its members");
        if member.value["type"] != "null" && all.insert(pointer) {
            collect(&member, all);
        }
    }
}
