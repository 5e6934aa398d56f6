//! The console: a page for operators at `/`, which reads `/events` and calls the routes of the cache and `/reload`.
//!
//! Its files are part of the binary and contain no data, so they need no token: the page asks the operator for it,
//! keeps it in the memory of its script, and sends it with each request. A strict content security policy prevents it
//! from loading anything else, and other pages from embedding it.

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method, header, request::Parts};

use serde::Serialize;

use super::{OperationsState, Operator};
use crate::http::error::{ApiError, Code};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// On every file of the console, in addition to the fields of every response.
const FIELDS: [(HeaderName, HeaderValue); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! file {
    ($name:literal, $media_type:expr) => {
        file!($name, $media_type, concat!("console/", $name))
    };
    ($name:literal, $media_type:expr, $path:expr) => {
        File {
            name: $name,
            media_type: $media_type,
            content: include_bytes!($path),
        }
    };
}

/// A file of the console.
struct File {
    name: &'static str,
    media_type: &'static str,
    content: &'static [u8],
}

static PAGE: File = file!("index.html", HTML);

/// The file that tells the page whether the listener has a token.
const SETTINGS: &str = "settings.json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SettingsJson {
    /// Whether the listener has a token.
    needs_token: bool,
}

/// What the page loads from `/console/`.
static FILES: [File; 14] = [
    file!("console.css", CSS),
    file!("console.js", JAVASCRIPT),
    file!("actions.js", JAVASCRIPT),
    file!("calls.js", JAVASCRIPT),
    file!("charts.js", JAVASCRIPT),
    file!("conditions.js", JAVASCRIPT),
    file!("lookup.js", JAVASCRIPT),
    file!("metrics.js", JAVASCRIPT),
    file!("panels.js", JAVASCRIPT),
    file!("session.js", JAVASCRIPT),
    file!("view.js", JAVASCRIPT),
    file!("uPlot-license.txt", TEXT, "console/uplot/LICENSE"),
    file!("uPlot.css", CSS, "console/uplot/uPlot.min.css"),
    file!("uPlot.js", JAVASCRIPT, "console/uplot/uPlot.iife.min.js"),
];

/// Whether the request opens the console in a tab of its own (Fetch Metadata Request Headers): not in a frame, and not by a
/// script, which would send an `Origin`.
pub(super) fn is_opened_by(request: &Parts) -> bool {
    let is = |name: HeaderName, value: &str| {
        let mut values = request.headers.get_all(name).into_iter();
        values.next().is_some_and(|sent| sent == value) && values.next().is_none()
    };
    request.method == Method::GET
        && request.uri.path() == "/"
        && !request.headers.contains_key(header::ORIGIN)
        && is(SEC_FETCH_MODE, "navigate")
        && is(SEC_FETCH_DEST, "document")
}

/// `GET /`: the page.
pub(in crate::http) async fn page() -> Response {
    PAGE.response()
}

/// `GET /console/{file}`: a script, a style sheet, the license of a library, or the settings. Any other name is a 404
/// with the token, and a 401 without it.
pub(in crate::http) async fn file(
    operator: Result<Operator, ApiError>,
    State(state): State<OperationsState>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    if name == SETTINGS {
        let needs_token = state.credentials.now().operators.token.is_some();
        return Ok((FIELDS, Json(SettingsJson { needs_token })).into_response());
    }
    match FILES.iter().find(|file| file.name == name) {
        Some(file) => Ok(file.response()),
        None => operator.and(Err(ApiError::new(Code::NotFound))),
    }
}

impl File {
    fn response(&self) -> Response {
        let media_type = [(header::CONTENT_TYPE, self.media_type)];
        (media_type, FIELDS, self.content).into_response()
    }
}
