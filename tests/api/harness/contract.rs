//! Compares responses with `docs/openapi.json` and `docs/openapi-operations.json`. It is stricter than clients may be:
//! a member, a status or a header field that the document does not name is an error. It supports the keywords of JSON
//! Schema that the documents use for responses, and refuses all others.

#[path = "contract/schema.rs"]
mod schema;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{LazyLock, Mutex, PoisonError},
};

use flate2::read::GzDecoder;
use reqwest::{Method, Url, header::HeaderMap};
use serde_json::Value;

use self::schema::{SEEN, Schema, collect, validate};

/// The document of the data listener.
pub(crate) static DATA: LazyLock<Value> =
    LazyLock::new(|| parse(include_str!("../../../docs/openapi.json")));
/// The document of the operations listener.
pub(crate) static OPERATIONS: LazyLock<Value> =
    LazyLock::new(|| parse(include_str!("../../../docs/openapi-operations.json")));

fn parse(document: &str) -> Value {
    serde_json::from_str(document).expect("JSON")
}

/// The ports of operations listeners in this process. All other ports belong to data listeners.
static OPERATIONS_PORTS: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Notes which port is the operations listener's, so that each response is compared with the document of its listener.
/// A port may have been another listener's.
pub(crate) fn service_listens_at(data: SocketAddr, operations: SocketAddr) {
    let mut ports = OPERATIONS_PORTS
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    ports.remove(&data.port());
    ports.insert(operations.port());
}

/// The document of the listener at this address.
fn document_of(url: &Url) -> &'static Value {
    let ports = OPERATIONS_PORTS
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if url.port().is_some_and(|port| ports.contains(&port)) {
        &OPERATIONS
    } else {
        &DATA
    }
}

/// The fields that HTTP itself adds. Those of CORS, which docs/API.md describes, are recognised by their prefix.
const OF_HTTP: [&str; 5] = [
    "connection",
    "content-length",
    "content-type",
    "date",
    "transfer-encoding",
];

/// Compares a response with the document's description of its operation. If the document lacks the path or method, the
/// response must be a problem, the answer to a preflight, or a file of the console.
#[track_caller]
pub(crate) fn check(method: &Method, url: &Url, status: u16, headers: &HeaderMap, body: &[u8]) {
    let (document, path) = (document_of(url), url.path());
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
    let is_problem = content_type == Some("application/problem+json");
    // These are not compared with an operation: hyper could not read the head; or a probe was refused with a problem.
    let is_of_any = status == 431 || (is_problem && PROBES.contains(&path));
    let operation = operation_of(document, method, path).filter(|_| !is_of_any);
    let Some(operation) = operation else {
        let is_preflight = headers.contains_key("access-control-allow-methods");
        let is_undocumented = is_preflight || is_of_any || is_console(path);
        assert!(is_problem || is_undocumented, "{method} {path} {status}");
        if is_problem && !is_head {
            assert_is(document, "Problem", &body);
        }
        return;
    };
    let response = Schema::at(document, &format!("{operation}/responses/{status}"));
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
    let media = content.get(content_type.split(';').next().unwrap_or_default());
    let media = media.unwrap_or_else(|| panic!("{content_type} of {path} {status}"));
    let schema = media.get("schema").expect("a schema");
    if is_head || content_type.starts_with("text/") || content_type.contains("openmetrics") {
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

/// The paths of probes, which both listeners have.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// Whether the path is one of the console's, which the document of the operations listener lacks.
fn is_console(path: &str) -> bool {
    path == "/" || path.starts_with("/console/")
}

/// The JSON pointer to the operation in the document.
fn operation_of(document: &Value, method: &Method, path: &str) -> Option<String> {
    // Methods are case-sensitive: `get` is not `GET`.
    let method = match *method {
        Method::GET | Method::HEAD => "get",
        Method::POST => "post",
        Method::PUT => "put",
        Method::DELETE => "delete",
        _ => return None,
    };
    let mut paths = document["paths"].as_object()?.keys();
    let template = paths.find(|template| is_path_of(template, path))?;
    let operation = format!("/paths/{}/{method}", template.replace('/', "~1"));
    document.pointer(&operation).map(|_| operation)
}

/// Whether the path matches the template, whose last segment may be a placeholder.
fn is_path_of(template: &str, path: &str) -> bool {
    let is_segment = |rest: &str| !rest.is_empty() && !rest.contains('/');
    match template.split_once('{') {
        None => template == path,
        Some((stem, _)) => path.strip_prefix(stem).is_some_and(is_segment),
    }
}

/// Compares a body with the schema of this name.
#[track_caller]
pub(crate) fn assert_is(document: &Value, schema: &str, body: &[u8]) {
    assert_valid(&Schema::named(document, schema), body);
}

/// The members of these schemas, at any depth, that no response of this process had with a value other than `null`.
pub(crate) fn never_seen(document: &Value, schemas: &[&str]) -> Vec<String> {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all = BTreeSet::new();
    for name in schemas {
        collect(&Schema::named(document, name), &mut all);
    }
    all.into_iter()
        .filter(|member| !seen.contains(member))
        .collect()
}

#[track_caller]
fn assert_valid(schema: &Schema<'_>, body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    let value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error} in {text}"));
    if let Err(error) = validate(schema, &value, "", None) {
        panic!("not as documented: {error}: {text}");
    }
}
