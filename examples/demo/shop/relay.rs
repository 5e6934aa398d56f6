//! Passes requests on to another server: to the service with the till's key, to the simulator's control API without one.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, uri::PathAndQuery},
    response::{IntoResponse, Response},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// The fields of a request that are passed on; others that a browser adds do not concern the other server.
const PASSED: [header::HeaderName; 4] = [
    header::ACCEPT,
    header::CACHE_CONTROL,
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
];

/// Where requests go, and with which key; cheap to clone.
#[derive(Clone)]
pub(super) struct Relay {
    client: Client<HttpConnector, Body>,
    base: String,
    key: Option<HeaderValue>,
}

impl Relay {
    /// To this base URL, in place of the path's prefix: `/till/customer` or `/backstage`.
    pub(super) fn new(base: String) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            base,
            key: None,
        }
    }

    pub(super) fn with_key(mut self, key: &'static str) -> Self {
        self.key = Some(HeaderValue::from_static(key));
        self
    }

    pub(super) async fn send(&self, request: Request) -> Response {
        match self.client.request(request).await {
            Ok(response) => response.map(Body::new),
            Err(_) => StatusCode::BAD_GATEWAY.into_response(),
        }
    }
}

/// Passes a request on, and the response back as it arrives.
pub(super) async fn relay(State(relay): State<Relay>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    // What follows the prefix is appended to the base URL.
    let rest = ["/till/customer", "/backstage"];
    let rest = rest.iter().find_map(|prefix| path.strip_prefix(prefix));
    let Ok(uri) = format!("{}{}", relay.base, rest.unwrap_or_default()).parse::<Uri>() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut passed = HeaderMap::new();
    for name in PASSED {
        if let Some(value) = parts.headers.get(&name) {
            passed.insert(name, value.clone());
        }
    }
    if let Some(key) = &relay.key {
        passed.insert("x-api-key", key.clone());
    }
    let mut request = Request::new(body);
    *request.method_mut() = parts.method;
    *request.uri_mut() = uri;
    *request.headers_mut() = passed;
    relay.send(request).await
}
