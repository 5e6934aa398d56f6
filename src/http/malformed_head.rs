//! Answers to what is no request: hyper refuses a head that can't be read with a status and nothing else. Here the
//! refusal becomes as every other: a problem, with the headers that no answer lacks, counted and logged.

use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Collected};
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};

use super::{
    HttpService,
    error::{ApiError, Code},
    request_id::{REQUEST_ID, RequestId},
    routes::RouteLabel,
    service::RequestContext,
};

impl HttpService {
    /// The refusal as it is written. `refused` is hyper's own, `head` what could be read of the head.
    pub(super) fn refuse_unparsed(&self, refused: &[u8], head: &[u8]) -> String {
        let arrived = self.clock.now();
        let error = match status_of(refused) {
            Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG) => {
                ApiError::new(Code::HeadTooLarge)
            }
            _ => ApiError::with_detail(Code::InvalidParameter, "the request's head can't be read"),
        };
        let mut response = error.into_response();
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        let asked = RequestContext {
            // Neither path nor method are certain.
            route: RouteLabel::UNREADABLE,
            request_id: RequestId::from_bytes(field(head, REQUEST_ID.as_str())),
            origin: field(head, header::ORIGIN.as_str()),
            is_shopper: false,
            arrived,
            limit: Some(&self.of_strangers),
        };
        self.finish(&mut response, None, &asked);
        written(response, arrived.wall)
    }
}

fn status_of(answer: &[u8]) -> Option<StatusCode> {
    let line = answer
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?;
    StatusCode::from_bytes(line.get(..3)?).ok()
}

/// The value of the first field of that name, in a head that need not be whole or well-formed.
fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (found, value) = line.split_at(colon);
        let is_it = found.eq_ignore_ascii_case(name.as_bytes());
        // A line without its end may lack the rest of its value.
        (is_it && line.ends_with(b"\r")).then(|| value[1..].trim_ascii())
    })
}

/// The answer as it is written.
fn written(response: Response, wall: Timestamp) -> String {
    let (head, body) = response.into_parts();
    // A problem's body is there at once.
    let body = body.collect().now_or_never().and_then(Result::ok);
    let body = body.map(Collected::to_bytes).unwrap_or_default();
    let mut text = format!("HTTP/1.1 {}\r\n", head.status);
    let mut line = |name: &str, value: &str| {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    };
    for (name, value) in &head.headers {
        line(name.as_str(), value.to_str().unwrap_or_default());
    }
    line("content-length", itoa::Buffer::new().format(body.len()));
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&wall);
    line("date", &date.unwrap_or_default());
    text.push_str("\r\n");
    text.push_str(str::from_utf8(&body).unwrap_or_default());
    text
}
