//! Reads the bodies of requests, within bounds of size and time.

use http::{HeaderMap, HeaderValue, header};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{
    codings,
    error::{AcceptedBody, ApiError, Code},
    lookup::LookupRules,
};
use crate::clock::Clock;

/// Reads a JSON body: UTF-8, no content coding, within `max_body` and `body_timeout`. A `Content-Length` beyond that is
/// refused before a byte is read.
pub(super) async fn read_json_body<B>(
    rules: &LookupRules,
    clock: &Clock,
    headers: &HeaderMap,
    body: B,
) -> Result<bytes::Bytes, ApiError>
where
    B: Body,
    B::Error: Into<axum::BoxError>,
{
    let is = |name, right: fn(&str) -> bool| {
        let value = headers.get(name).map(HeaderValue::to_str);
        value.map(|value| value.is_ok_and(right))
    };
    if is(header::CONTENT_TYPE, codings::is_json) != Some(true) {
        return Err(ApiError::unsupported(AcceptedBody::Json));
    }
    if is(header::CONTENT_ENCODING, codings::is_identity) == Some(false) {
        return Err(ApiError::unsupported(AcceptedBody::Identity));
    }
    read_body(rules, clock, headers, body).await
}

/// Reads a body of any type within `max_body` and `body_timeout`. A byte order mark is removed.
pub(super) async fn read_body<B>(
    rules: &LookupRules,
    clock: &Clock,
    headers: &HeaderMap,
    body: B,
) -> Result<bytes::Bytes, ApiError>
where
    B: Body,
    B::Error: Into<axum::BoxError>,
{
    let (max_body, deadline) = (rules.max_body, clock.tick() + rules.body_timeout);
    if content_length(headers).is_some_and(|length| length > max_body as u64) {
        return Err(ApiError::new(Code::PayloadTooLarge));
    }
    let read = tokio::select! {
        biased;
        read = Limited::new(body, max_body).collect() => read,
        () = clock.sleep_until(deadline) => {
            return Err(ApiError::with_detail(Code::InvalidParameter, "the body did not arrive in time"));
        }
    };
    let body = read.map_err(|error| {
        if error.is::<LengthLimitError>() {
            ApiError::new(Code::PayloadTooLarge)
        } else {
            ApiError::with_detail(Code::InvalidParameter, "the body was cut off")
        }
    })?;
    let body = body.to_bytes();
    Ok(body.slice_ref(codings::without_mark(&body)))
}

/// The value of `Content-Length`.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}
