//! A customer answer as an HTTP response: validators, coding, `Cache-CacheStatus` and `Age`.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};

use super::{
    codings, conditions,
    error::{ApiError, Code},
};
use crate::customer::{CacheStatus, Rendered, StaleReason, Verdict};

pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
pub(super) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// An answer about a customer, and what the cache did for it.
pub(super) struct CustomerResponse {
    pub(super) response: Response,
    pub(super) note: Note,
}

impl IntoResponse for CustomerResponse {
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
    /// Answered from memory, because Engage is slow.
    StaleIfSlow = 2,
    /// Held, but too old.
    Stale = 3,
    /// Not held.
    Miss = 4,
    /// Wanted anew.
    Request = 5,
    /// The cache is off.
    Bypass = 6,
}

impl Note {
    /// Every note.
    pub(super) const ALL: [Note; 7] = [
        Note::Hit,
        Note::StaleIfError,
        Note::StaleIfSlow,
        Note::Stale,
        Note::Miss,
        Note::Request,
        Note::Bypass,
    ];

    pub(super) fn of(verdict: &Verdict) -> Self {
        match verdict.status {
            CacheStatus::Hit => match verdict.stands_in {
                None => Note::Hit,
                Some(StaleReason::Error) => Note::StaleIfError,
                Some(StaleReason::Slow) => Note::StaleIfSlow,
            },
            CacheStatus::Stale => Note::Stale,
            CacheStatus::Miss => Note::Miss,
            CacheStatus::Request => Note::Request,
            CacheStatus::Bypass => Note::Bypass,
        }
    }

    /// The name in metrics and `Server-Timing`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Note::Hit => "hit",
            Note::StaleIfError => "stale-if-error",
            Note::StaleIfSlow => "stale-if-slow",
            Note::Stale => "stale",
            Note::Miss => "miss",
            Note::Request => "request",
            Note::Bypass => "bypass",
        }
    }
}

/// How an answer about a customer is told to a caller.
pub(super) struct SelectedResponse {
    /// What the cache did.
    pub(super) note: Note,
    /// Whether it is, or the caller's own is, in gzip.
    pub(super) is_gzip: bool,
    /// Whether the caller has it already.
    is_held: bool,
    rendered: Arc<Rendered>,
    verdict: Verdict,
}

impl SelectedResponse {
    /// `held` are the values of `If-None-Match`.
    pub(super) fn of<'a>(
        rendered: Arc<Rendered>,
        verdict: Verdict,
        prefers_gzip: bool,
        held: impl Iterator<Item = &'a str>,
    ) -> Self {
        let would_be_gzip = prefers_gzip && rendered.is_compressible();
        let held = conditions::held(held, &rendered.etag, would_be_gzip);
        let is_gzip = match held {
            Some(form) => form.is_gzip,
            None => would_be_gzip && rendered.gzip().is_some(),
        };
        Self {
            note: Note::of(&verdict),
            is_gzip,
            is_held: held.is_some(),
            rendered,
            verdict,
        }
    }

    /// What is sent of it; `None` to a caller that has it already.
    pub(super) fn body(&self) -> Option<&Bytes> {
        let rendered = &self.rendered;
        match (self.is_held, self.is_gzip) {
            (true, _) => None,
            (false, true) => rendered.gzip(),
            (false, false) => Some(&rendered.body),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        if self.is_held {
            StatusCode::NOT_MODIFIED
        } else {
            StatusCode::OK
        }
    }

    /// Its validator; to a caller that has it already, the one that the caller named.
    pub(super) fn write_etag(&self, text: &mut String) {
        self.rendered.etag.write(self.is_gzip, text);
    }

    /// The age of the oldest part, in seconds.
    pub(super) fn age(&self) -> u64 {
        self.verdict.age.as_secs()
    }

    /// What the cache did, as RFC 9211 writes it.
    pub(super) fn write_cache_status(&self, text: &mut String) {
        let verdict = &self.verdict;
        text.push_str("engage-bff");
        match verdict.status {
            CacheStatus::Hit => {
                text.push_str("; hit; ttl=");
                text.push_str(itoa::Buffer::new().format(verdict.ttl));
            }
            CacheStatus::Stale => text.push_str("; fwd=stale"),
            CacheStatus::Miss => text.push_str("; fwd=miss"),
            CacheStatus::Request => text.push_str("; fwd=request"),
            CacheStatus::Bypass => text.push_str("; fwd=bypass"),
        }
        if verdict.status != CacheStatus::Hit && verdict.stored {
            text.push_str("; stored");
        }
        if verdict.status != CacheStatus::Hit && verdict.collapsed {
            text.push_str("; collapsed");
        }
        match verdict.stands_in {
            None => {}
            Some(StaleReason::Error) => text.push_str("; detail=stale-if-error"),
            Some(StaleReason::Slow) => text.push_str("; detail=stale-if-slow"),
        }
    }
}

/// The answer, or that the caller has it already, or that it is not what the caller wants.
pub(super) fn customer(
    rendered: Arc<Rendered>,
    verdict: Verdict,
    request: &Parts,
) -> Result<CustomerResponse, ApiError> {
    let texts = |name| {
        let values = request.headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok())
    };
    let is_conditional = request.headers.contains_key(header::IF_MATCH);
    if is_conditional && !conditions::is_wanted(texts(header::IF_MATCH), &rendered.etag) {
        return Err(ApiError::new(Code::PreconditionFailed));
    }
    let prefers_gzip = codings::prefers_gzip(texts(header::ACCEPT_ENCODING));
    let held = texts(header::IF_NONE_MATCH);
    let told = SelectedResponse::of(rendered, verdict, prefers_gzip, held);
    if told.is_held && !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(ApiError::new(Code::PreconditionFailed));
    }
    let mut response = Response::new(Body::empty());
    // Room for those that the front door adds, too: a map that grows is built anew.
    let mut headers = HeaderMap::with_capacity(16);
    *response.status_mut() = told.status();
    let mut etag = String::with_capacity(32);
    told.write_etag(&mut etag);
    headers.insert(
        header::ETAG,
        HeaderValue::try_from(etag).expect("hexadecimal digits make a header value"),
    );
    headers.insert(header::AGE, HeaderValue::from(told.age()));
    let mut cache_status = String::with_capacity(64);
    told.write_cache_status(&mut cache_status);
    headers.insert(
        CACHE_STATUS,
        HeaderValue::try_from(cache_status).expect("words and numbers make a header value"),
    );
    if let Some(body) = told.body() {
        *response.body_mut() = Body::from(body.clone());
        headers.insert(header::CONTENT_TYPE, JSON);
        if told.is_gzip {
            headers.insert(header::CONTENT_ENCODING, GZIP);
        }
    }
    *response.headers_mut() = headers;
    Ok(CustomerResponse {
        response,
        note: told.note,
    })
}

/// How long the answer took, and what the cache did: the value of `Server-Timing`.
pub(super) fn write_server_timing(text: &mut String, note: Option<Note>, took: Duration) {
    if let Some(note) = note {
        text.push_str("cache;desc=");
        text.push_str(note.as_str());
        text.push_str(", ");
    }
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let mut number = itoa::Buffer::new();
    text.push_str("total;dur=");
    text.push_str(number.format(micros / 1000));
    text.push('.');
    // A thousand more, whose own digit is left out, brings the zeros in front.
    text.push_str(&number.format(1000 + micros % 1000)[1..]);
}

/// The header of that.
pub(super) fn server_timing(note: Option<Note>, took: Duration) -> (HeaderName, HeaderValue) {
    let mut text = String::with_capacity(64);
    write_server_timing(&mut text, note, took);
    let value = HeaderValue::try_from(text).expect("words and numbers make a header value");
    (SERVER_TIMING, value)
}
