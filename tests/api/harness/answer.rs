//! A response of the service, with assertions on it.

use reqwest::{RequestBuilder, header::HeaderMap};
use serde_json::Value;

use super::contract;
use crate::sensitive::assert_no_sensitive_data;

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let (client, request) = request.build_split();
        let request = request.expect("a request");
        let (method, url) = (request.method().clone(), request.url().clone());
        let response = client.execute(request).await.expect("an answer");
        let answer = Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.expect("a whole body").to_vec(),
        };
        contract::check(&method, &url, answer.status, &answer.headers, &answer.body);
        if answer.status >= 400 {
            let response = format!("{} {:?}", answer.without_candidates(), answer.headers);
            assert_no_sensitive_data("a refusal", &response);
        }
        answer
    }

    /// The head alone of a response whose body may have no end.
    pub(crate) async fn head_of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: Vec::new(),
        }
    }

    /// The body without the contacts that a 409 lists for callers that may see them.
    fn without_candidates(&self) -> String {
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(Value::Object(mut problem)) if self.status == 409 => {
                problem.remove("candidates");
                Value::from(problem).to_string()
            }
            _ => String::from_utf8_lossy(&self.body).into_owned(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The value at a JSON pointer, such as `/points/balance`.
    #[track_caller]
    pub(crate) fn at(&self, pointer: &str) -> Value {
        let json = self.json();
        json.pointer(pointer)
            .unwrap_or_else(|| panic!("no {pointer} in {json}"))
            .clone()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("a readable header"))
    }

    #[track_caller]
    pub(crate) fn assert_ok(&self) -> &Self {
        assert_eq!(self.status, 200, "{}", self.text());
        self
    }

    /// Asserts a problem (RFC 9457) with this status and code.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) -> &Self {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let json = self.json();
        assert_eq!(json["code"], code, "{json}");
        assert_eq!(json["status"], status);
        for key in ["type", "title", "detail", "requestId"] {
            assert!(json[key].is_string(), "{key} in {json}");
        }
        assert!(json["retryable"].is_boolean(), "retryable in {json}");
        assert_eq!(json["requestId"], self.header("x-request-id"));
        self
    }

    #[track_caller]
    pub(crate) fn assert_cache_status(&self, expected: &str) -> &Self {
        assert_eq!(self.header("cache-status"), expected, "{}", self.text());
        self
    }

    /// Asserts a stale answer served because Engage failed.
    #[track_caller]
    pub(crate) fn assert_stale_if_error(&self) -> &Self {
        self.assert_ok().assert_hit();
        let status = self.header("cache-status");
        assert!(status.ends_with("; detail=stale-if-error"), "{status}");
        self
    }

    /// Asserts a stale answer served because Engage is slow.
    #[track_caller]
    pub(crate) fn assert_stale_if_slow(&self) -> &Self {
        self.assert_ok().assert_hit();
        let status = self.header("cache-status");
        assert!(status.ends_with("; detail=stale-if-slow"), "{status}");
        self
    }

    /// The `ttl` of `Cache-Status`.
    #[track_caller]
    pub(crate) fn ttl(&self) -> i64 {
        let status = self.header("cache-status");
        let ttl = status
            .split("; ")
            .find_map(|part| part.strip_prefix("ttl="));
        ttl.unwrap_or_else(|| panic!("no ttl in {status}"))
            .parse()
            .expect("a number")
    }

    /// Asserts an answer from the cache.
    #[track_caller]
    pub(crate) fn assert_hit(&self) -> &Self {
        let status = self.header("cache-status");
        assert!(status.starts_with("engage-bff; hit; ttl="), "{status}");
        self
    }
}
