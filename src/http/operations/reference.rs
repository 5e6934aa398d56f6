//! The descriptions of both listeners: their OpenAPI documents, and the same as pages for people. All are committed texts,
//! which tests compare with the code. The pages have no script and load nothing.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use axum::response::{IntoResponse, Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderValue, header};

use super::Operator;

const DATA_DOCUMENT: &str = include_str!("../../../docs/openapi.json");
const OPERATIONS_DOCUMENT: &str = include_str!("../../../docs/openapi-operations.json");
const DATA_PAGE: &str = include_str!("reference.html");
const OPERATIONS_PAGE: &str = include_str!("reference-operations.html");

/// Nothing is allowed but the style sheet that both pages have, by its digest.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = DATA_PAGE
        .split_once("<style>")
        .and_then(|(_, rest)| rest.split_once("</style>"));
    let (style, _) = style.expect("the page has a style sheet");
    let digest = STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("visible ASCII makes a header value")
});

/// The OpenAPI document of the data listener.
pub(in crate::http) async fn data_document(_operator: Operator) -> Response {
    document(DATA_DOCUMENT)
}

/// The OpenAPI document of this listener.
pub(in crate::http) async fn operations_document(_operator: Operator) -> Response {
    document(OPERATIONS_DOCUMENT)
}

/// The page about the data listener.
pub(in crate::http) async fn data_page(_operator: Operator) -> Response {
    page(DATA_PAGE)
}

/// The page about this listener.
pub(in crate::http) async fn operations_page(_operator: Operator) -> Response {
    page(OPERATIONS_PAGE)
}

fn document(text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn page(text: &'static str) -> Response {
    let fields = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
    ];
    (fields, text).into_response()
}
