//! A customer as an HTTP response: the status and the form that are selected for the request, and their header fields.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header, request::Parts};

use super::{
    codings, conditions,
    error::{ApiError, Code},
    response_headers::{AGE, CACHE_STATUS, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderSink},
};
use crate::customer::{CacheStatus, Rendered, StaleReason, Verdict};

/// A response about a customer, and what the cache did for it.
pub(super) struct CustomerResponse {
    pub(super) response: Response,
    pub(super) cache_status: CacheStatus,
}

/// The 200 or 304 that is selected for a request, before it becomes hyper's response or bytes.
pub(super) struct SelectedResponse {
    /// Whether the body is in gzip; of a 304, whether the caller's copy is.
    is_gzip: bool,
    /// Whether the caller's copy is current: a 304.
    is_not_modified: bool,
    rendered: Arc<Rendered>,
    verdict: Verdict,
}

impl SelectedResponse {
    /// Selects by the content coding that the caller prefers and the values of its `If-None-Match`.
    pub(super) fn select<'a>(
        rendered: Arc<Rendered>,
        verdict: Verdict,
        prefers_gzip: bool,
        if_none_match: impl Iterator<Item = &'a str>,
    ) -> Self {
        let would_be_gzip = prefers_gzip && rendered.is_compressible();
        let current = conditions::current_copy(if_none_match, &rendered.etag, would_be_gzip);
        let is_gzip = match current {
            Some(copy) => copy.is_gzip,
            None => would_be_gzip && rendered.gzip().is_some(),
        };
        Self {
            is_gzip,
            is_not_modified: current.is_some(),
            rendered,
            verdict,
        }
    }

    /// The body; `None` of a 304.
    pub(super) fn body(&self) -> Option<&Bytes> {
        let rendered = &self.rendered;
        match (self.is_not_modified, self.is_gzip) {
            (true, _) => None,
            (false, true) => rendered.gzip(),
            (false, false) => Some(&rendered.body),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        if self.is_not_modified {
            StatusCode::NOT_MODIFIED
        } else {
            StatusCode::OK
        }
    }

    pub(super) fn cache_status(&self) -> CacheStatus {
        self.verdict.status
    }

    /// Writes the response's own header fields.
    #[inline]
    pub(super) fn write_headers(&self, sink: &mut impl HeaderSink) {
        // In a 304 the validator is that of the caller's copy.
        sink.text(&ETAG, |text| {
            self.rendered.etag.write(self.is_gzip, text);
        });
        sink.number(&AGE, self.verdict.age.as_secs());
        sink.text(&CACHE_STATUS, |text| {
            write_cache_status(text, &self.verdict);
        });
        if !self.is_not_modified {
            sink.constant(&CONTENT_TYPE, "application/json");
            if self.is_gzip {
                sink.constant(&CONTENT_ENCODING, "gzip");
            }
        }
    }
}

/// The response to a caller that accepts a guest, if Engage is unavailable and nothing usable is cached, or refuses the
/// default contact type. It is about no customer, so it has no validator and no age, by which a caller might cache it.
pub(super) fn guest(body: Vec<u8>, request: &Parts) -> Result<CustomerResponse, ApiError> {
    if request.headers.contains_key(header::IF_MATCH) {
        return Err(ApiError::new(Code::PreconditionFailed));
    }
    let mut headers = HeaderMap::with_capacity(16);
    headers.text(&CACHE_STATUS, |text| {
        text.push_str("engage-bff; fwd=miss; detail=guest");
    });
    headers.constant(&CONTENT_TYPE, "application/json");
    let mut response = Response::new(Body::from(body));
    *response.headers_mut() = headers;
    Ok(CustomerResponse {
        response,
        cache_status: CacheStatus::Guest,
    })
}

/// The value of `Cache-Status` (RFC 9211).
fn write_cache_status(text: &mut String, verdict: &Verdict) {
    text.push_str("engage-bff");
    if let Some(reason) = verdict.status.forward_reason() {
        text.push_str("; fwd=");
        text.push_str(reason);
        if verdict.stored {
            text.push_str("; stored");
        }
        if verdict.collapsed {
            text.push_str("; collapsed");
        }
    } else {
        text.push_str("; hit; ttl=");
        text.push_str(itoa::Buffer::new().format(verdict.ttl));
    }
    // Why a hit is not an ordinary one.
    let detail = match verdict.status {
        CacheStatus::Shared => Some(verdict.status.as_str()),
        _ => verdict.stands_in.map(StaleReason::as_str),
    };
    if let Some(detail) = detail {
        text.push_str("; detail=");
        text.push_str(detail);
    }
}

/// The response to a request that hyper has parsed, or the 412 that its preconditions require.
pub(super) fn customer(
    rendered: Arc<Rendered>,
    verdict: Verdict,
    request: &Parts,
) -> Result<CustomerResponse, ApiError> {
    let texts = |name| {
        let values = request.headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok())
    };
    let has_if_match = request.headers.contains_key(header::IF_MATCH);
    if has_if_match && !conditions::if_match(texts(header::IF_MATCH), &rendered.etag) {
        return Err(ApiError::new(Code::PreconditionFailed));
    }
    let prefers_gzip = codings::prefers_gzip(texts(header::ACCEPT_ENCODING));
    let if_none_match = texts(header::IF_NONE_MATCH);
    let selected = SelectedResponse::select(rendered, verdict, prefers_gzip, if_none_match);
    if selected.is_not_modified && !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(ApiError::new(Code::PreconditionFailed));
    }
    let body = selected.body().cloned();
    let mut response = Response::new(body.map_or_else(Body::empty, Body::from));
    *response.status_mut() = selected.status();
    // Large enough for the common fields too: a map that grows is rebuilt.
    let mut headers = HeaderMap::with_capacity(16);
    selected.write_headers(&mut headers);
    *response.headers_mut() = headers;
    Ok(CustomerResponse {
        response,
        cache_status: selected.cache_status(),
    })
}
