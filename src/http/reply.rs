//! A customer answer as an HTTP response: validators, coding, `Cache-Status` and `Age`.

use std::{fmt::Write, time::Duration};

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::customer::{Rendered, Status, Verdict};

pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Marks a response that cost nothing worth a log event.
#[derive(Clone, Copy)]
pub(super) struct WasHit;

/// What the cache did, for `Server-Timing`.
#[derive(Clone, Copy)]
struct CacheNote(&'static str);

/// The answer, or that the caller has it already.
pub(super) fn customer(rendered: &Rendered, verdict: &Verdict, request: &HeaderMap) -> Response {
    let gzip = accepts_gzip(request).then(|| rendered.gzip()).flatten();
    let etag = if gzip.is_some() {
        &rendered.etag_gzip
    } else {
        &rendered.etag
    };
    let is_known = request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|held| matches(held, rendered));
    let mut response = if is_known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let is_gzip = gzip.is_some();
        let body = gzip.unwrap_or_else(|| rendered.body.clone());
        let mut response = Response::new(Body::from(body));
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if is_gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag.clone());
    headers.insert(header::AGE, HeaderValue::from(verdict.age.as_secs()));
    headers.insert(CACHE_STATUS, cache_status(verdict));
    let note = match verdict.status {
        Status::Hit => "hit",
        Status::Stale => "stale",
        Status::Miss => "miss",
        Status::Request => "request",
    };
    response.extensions_mut().insert(CacheNote(note));
    if verdict.status == Status::Hit && !verdict.stale_if_error {
        response.extensions_mut().insert(WasHit);
    }
    response
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
pub(super) fn write_server_timing(response: &mut Response, took: Duration) {
    let mut text = String::with_capacity(48);
    if let Some(CacheNote(note)) = response.extensions().get() {
        let _ = write!(text, "cache;desc={note}, ");
    }
    let _ = write!(text, "total;dur={:.3}", took.as_secs_f64() * 1000.0);
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().insert(SERVER_TIMING, value);
    }
}
