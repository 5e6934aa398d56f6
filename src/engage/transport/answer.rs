//! An answer of Engage's: what its head says of its body, and the body read to its end.

use bytes::{Buf, Bytes, BytesMut};
use reqwest::{
    Response,
    header::{self, HeaderMap, HeaderName},
};

use crate::engage::{Error, error::READING, wire::replace_lone_surrogates};

/// U+FEFF, which some writers put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What the head says that makes the body unreadable to us, by the field that says it.
pub(super) fn unreadable(headers: &HeaderMap) -> Option<&'static str> {
    if !elements(headers, &header::CONTENT_TYPE).all(is_json) {
        return Some("content-type");
    }
    // None was asked for, so nothing here can grow beyond what is read.
    let is_plain = |coding: &str| coding.eq_ignore_ascii_case("identity");
    if !elements(headers, &header::CONTENT_ENCODING).all(is_plain) {
        return Some("content-encoding");
    }
    None
}

/// The elements of a field that may be a list or come several times; empty ones say nothing (RFC 9110, 5.6.1), and a comma
/// in a quoted text ends none. Bytes that are no ASCII make an element that is nothing we know.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter();
    values
        .flat_map(|value| {
            let mut is_quoted = false;
            let value = value.to_str().unwrap_or("?");
            value.split(move |character| {
                is_quoted ^= character == '"';
                character == ',' && !is_quoted
            })
        })
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

/// Where no type is named, the body itself shows what it is (RFC 9110, 8.3).
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let suffixed = essence
        .strip_prefix("application/")
        .and_then(|subtype| subtype.strip_suffix("+json"));
    matches!(&*essence, "application/json" | "text/json")
        || suffixed.is_some_and(|subtype| !subtype.is_empty())
}

/// The body, as JSON that every parser reads.
pub(super) async fn read(mut response: Response, max_body: usize) -> Result<Bytes, Error> {
    if response
        .content_length()
        .is_some_and(|length| length > max_body as u64)
    {
        return Err(Error::too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if body.len() + chunk.len() > max_body {
            return Err(Error::too_large());
        }
        body.extend_from_slice(&chunk);
    }
    if body.starts_with(BYTE_ORDER_MARK) {
        body.advance(BYTE_ORDER_MARK.len());
    }
    replace_lone_surrogates(&mut body);
    Ok(body.freeze())
}

fn broken(error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::Timeout;
    }
    Error::Unreachable { what: READING }
}

/// The `errorCode` of a failure's body, where it has one that looks like a code.
pub(super) async fn error_code(response: Response, max_body: usize) -> Option<Box<str>> {
    let body = read(response, max_body).await.ok()?;
    let body: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&body).ok()?;
    let code = body
        .get("errorCode")
        .or_else(|| body.get("ErrorCode"))?
        .as_str()?;
    let is_code =
        (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_code.then(|| code.into())
}
