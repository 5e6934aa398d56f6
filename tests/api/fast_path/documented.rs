//! The bytes of a response against the OpenAPI document.

use reqwest::{
    Method,
    header::{HeaderMap, HeaderName},
};

use crate::harness::contract;

/// Compares the bytes of a response with the OpenAPI document. A response with a content coding is not compared.
#[track_caller]
pub(super) fn check(request: &str, response: &str) {
    let mut line = request.split(' ');
    let (Some(method), Some(target)) = (line.next(), line.next()) else {
        return;
    };
    let (Ok(method), Some((head, body))) = (method.parse(), response.split_once("\r\n\r\n")) else {
        return;
    };
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12)?.parse().ok());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            headers.append(name, value);
        }
    }
    // The rest of the connection follows the body.
    let length = headers.get("content-length");
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let body = body
        .as_bytes()
        .get(..length.unwrap_or(0))
        .unwrap_or_default();
    let absolute = if target.starts_with('/') {
        format!("http://bff{target}")
    } else {
        target.to_owned()
    };
    let Ok(url) = absolute.parse() else {
        return;
    };
    if !headers.contains_key("content-encoding") {
        let status = status.expect("a status");
        let body = if method == Method::HEAD || status == 304 {
            &[]
        } else {
            body
        };
        contract::check(&method, &url, status, &headers, body);
    }
}
