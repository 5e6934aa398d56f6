//! Refusals of malformed heads. If hyper can't parse a head, it answers with a bare status; that refusal is replaced by
//! a problem with the common header fields, which is counted and logged like any other.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{StatusCode, header};
use http_body_util::{BodyExt, Collected};
use jiff::Timestamp;

use super::{
    error::{ApiError, Code},
    log_context::LogContext,
    request_id::REQUEST_ID,
    response_headers::{CONTENT_LENGTH, DATE, DateText, HeaderSink, RawHead, write_close},
    routes::RouteLabel,
    service::{HttpService, RequestContext},
};
use crate::domain::RequestId;

/// A refusal as it is sent.
pub(super) struct Refusal {
    pub(super) head: RawHead,
    pub(super) body: Bytes,
}

impl HttpService {
    /// Replaces hyper's refusal. `head` is as much of the malformed head as is known.
    pub(super) fn refuse_malformed(&self, refusal: &[u8], head: &[u8]) -> Refusal {
        let arrived = self.clock.now();
        let error = match status_of(refusal) {
            Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG) => {
                ApiError::new(Code::HeadTooLarge)
            }
            _ => ApiError::with_detail(Code::InvalidParameter, "the request's head can't be read"),
        };
        let mut response = error.into_response();
        write_close(response.headers_mut());
        let request_id = RequestId::from_bytes(field(head, REQUEST_ID.as_str()));
        let context = RequestContext {
            route: RouteLabel::UNREADABLE,
            origin: field(head, header::ORIGIN.as_str()),
            is_shopper: false,
            arrived,
            log: &LogContext::new(request_id, None),
        };
        self.finish(&mut response, None, &context);
        serialize(response, arrived.wall)
    }
}

fn status_of(response: &[u8]) -> Option<StatusCode> {
    let line = response
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| response.strip_prefix(b"HTTP/1.0 "))?;
    StatusCode::from_bytes(line.get(..3)?).ok()
}

/// The value of the first field of that name, in a head that may be incomplete or malformed.
fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (found, value) = line.split_at(colon);
        let is_it = found.eq_ignore_ascii_case(name.as_bytes());
        // The value of an unfinished line may be cut short.
        (is_it && line.ends_with(b"\r")).then(|| value[1..].trim_ascii())
    })
}

fn serialize(response: Response, wall: Timestamp) -> Refusal {
    let (parts, body) = response.into_parts();
    // The body of a problem is available at once.
    let body = body.collect().now_or_never().and_then(Result::ok);
    let body = body.map(Collected::to_bytes).unwrap_or_default();
    let mut head = RawHead::default();
    head.begin(parts.status);
    for (name, value) in &parts.headers {
        head.field(name, value.to_str().unwrap_or_default());
    }
    head.number(&CONTENT_LENGTH, body.len() as u64);
    head.copied(&DATE, DateText::default().at(wall));
    head.end();
    Refusal { head, body }
}
