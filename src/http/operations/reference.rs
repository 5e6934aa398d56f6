//! The description of the data listener: the OpenAPI document, and the same as a page for people. Both are committed
//! texts, which tests compare with the code. The page has no script and loads nothing.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use axum::response::{IntoResponse, Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderValue, header};

use super::Operator;

const DOCUMENT: &str = include_str!("../../../docs/openapi.json");
const PAGE: &str = include_str!("reference.html");

/// Nothing is allowed but the page's own style sheet, by its digest.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = PAGE
        .split_once("<style>")
        .and_then(|(_, rest)| rest.split_once("</style>"));
    let (style, _) = style.expect("the page has a style sheet");
    let digest = STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("visible ASCII makes a header value")
});

/// The OpenAPI document.
pub(in crate::http) async fn document(_operator: Operator) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

/// The page.
pub(in crate::http) async fn page(_operator: Operator) -> Response {
    let fields = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
    ];
    (fields, PAGE).into_response()
}
