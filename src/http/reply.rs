//! A customer answer as an HTTP response: validators, coding, `Cache-Status` and `Age`.

use std::{fmt::Write, sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::customer::{Rendered, Status, Verdict};

pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// An answer about a customer, and what the cache did for it.
pub(super) struct Reply {
    pub(super) response: Response,
    pub(super) note: Note,
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = self.response;
        response.extensions_mut().insert(self.note);
        response
    }
}

/// What the cache did, for `Server-Timing`, metrics and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Note {
    /// Answered from memory.
    Hit = 0,
    /// Answered from memory, because Engage fails.
    StaleIfError = 1,
    /// Held, but too old.
    Stale = 2,
    /// Not held.
    Miss = 3,
    /// Wanted anew.
    Request = 4,
    /// The cache is off.
    Bypass = 5,
}

impl Note {
    /// Every note.
    pub(super) const ALL: [Note; 6] = [
        Note::Hit,
        Note::StaleIfError,
        Note::Stale,
        Note::Miss,
        Note::Request,
        Note::Bypass,
    ];

    fn of(verdict: &Verdict) -> Self {
        match verdict.status {
            Status::Hit if verdict.stale_if_error => Note::StaleIfError,
            Status::Hit => Note::Hit,
            Status::Stale => Note::Stale,
            Status::Miss => Note::Miss,
            Status::Request => Note::Request,
            Status::Bypass => Note::Bypass,
        }
    }

    /// The name in metrics and `Server-Timing`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Note::Hit => "hit",
            Note::StaleIfError => "stale-if-error",
            Note::Stale => "stale",
            Note::Miss => "miss",
            Note::Request => "request",
            Note::Bypass => "bypass",
        }
    }
}

/// The answer, or that the caller has it already.
pub(super) fn customer(rendered: &Arc<Rendered>, verdict: &Verdict, request: &HeaderMap) -> Reply {
    let accepts_gzip = accepts_gzip(request);
    let is_known = request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|held| matches(held, rendered));
    let mut response = Response::new(Body::empty());
    // Room for those that the front door adds, too: a map that grows is built anew.
    *response.headers_mut() = HeaderMap::with_capacity(16);
    let is_gzip;
    if is_known {
        is_gzip = accepts_gzip && rendered.is_compressible();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let gzip = accepts_gzip.then(|| rendered.gzip()).flatten();
        is_gzip = gzip.is_some();
        *response.body_mut() = Body::from(gzip.unwrap_or_else(|| rendered.body.clone()));
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if is_gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    let headers = response.headers_mut();
    let etag = if is_gzip {
        &rendered.etag_gzip
    } else {
        &rendered.etag
    };
    headers.insert(header::ETAG, etag.clone());
    headers.insert(header::AGE, HeaderValue::from(verdict.age.as_secs()));
    headers.insert(CACHE_STATUS, cache_status(verdict));
    Reply {
        response,
        note: Note::of(verdict),
    }
}

/// What the cache did, as RFC 9211 writes it.
fn cache_status(verdict: &Verdict) -> HeaderValue {
    let mut text = String::with_capacity(64);
    text.push_str("engage-bff");
    match verdict.status {
        Status::Hit => {
            let _ = write!(text, "; hit; ttl={}", verdict.ttl);
        }
        Status::Stale => text.push_str("; fwd=stale"),
        Status::Miss => text.push_str("; fwd=miss"),
        Status::Request => text.push_str("; fwd=request"),
        Status::Bypass => text.push_str("; fwd=bypass"),
    }
    if verdict.status != Status::Hit && verdict.stored {
        text.push_str("; stored");
    }
    if verdict.status != Status::Hit && verdict.collapsed {
        text.push_str("; collapsed");
    }
    if verdict.stale_if_error {
        text.push_str("; detail=stale-if-error");
    }
    HeaderValue::try_from(text).expect("words and numbers make a header value")
}

/// Whether `If-None-Match` names this answer in either coding (RFC 9110, 13.1.2: compared weakly).
fn matches(held: &HeaderValue, rendered: &Rendered) -> bool {
    let held = held.to_str().unwrap_or_default();
    held.trim() == "*"
        || held.split(',').any(|tag| {
            let tag = tag.trim();
            let tag = tag.strip_prefix("W/").unwrap_or(tag).as_bytes();
            tag == rendered.etag.as_bytes() || tag == rendered.etag_gzip.as_bytes()
        })
}

/// Whether the caller takes gzip (RFC 9110, 12.5.3); a weight of zero is a refusal.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let mut by_name = None;
    let mut by_star = None;
    let values = request.get_all(header::ACCEPT_ENCODING).iter();
    for coding in values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts
            .find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok())
            .unwrap_or(1.0);
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            by_name = Some(weight > 0.0);
        } else if name == "*" {
            by_star = Some(weight > 0.0);
        }
    }
    by_name.or(by_star).unwrap_or(false)
}

/// How long the answer took, and what the cache did.
pub(super) fn write_server_timing(headers: &mut HeaderMap, note: Option<Note>, took: Duration) {
    let mut text = String::with_capacity(64);
    if let Some(note) = note {
        let _ = write!(text, "cache;desc={}, ", note.as_str());
    }
    let micros = took.as_micros();
    let _ = write!(text, "total;dur={}.{:03}", micros / 1000, micros % 1000);
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(SERVER_TIMING, value);
    }
}
