//! The id of a request: the caller's own if it is well-formed, else a new one.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::RequestId;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The caller's own where it is well-formed, else a new one.
pub(super) fn of_headers(headers: &HeaderMap) -> RequestId {
    RequestId::from_bytes(headers.get(&REQUEST_ID).map(HeaderValue::as_bytes))
}
