//! Cross-origin requests (CORS): the pages whose scripts may read responses. Where origins are configured, a layer of
//! the router answers preflights; every other response gets its fields from [`Cors::allow`], whatever produced it.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tower_http::cors::CorsLayer;

use super::{
    error::{RATE_LIMIT, RATE_LIMIT_POLICY},
    request_id::REQUEST_ID,
};

/// How long a browser may cache the answer to a preflight.
const PREFLIGHT_LIFETIME: Duration = Duration::from_secs(600);

/// The fields that a script may send in addition to those that CORS always allows. Pages that are instrumented send a
/// trace context with every request (W3C Trace Context, 3).
const ALLOWED: [HeaderName; 7] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    REQUEST_ID,
];

/// The fields that a script may read in addition to those that CORS always allows. `Cache-Status` and `Server-Timing`
/// are not among them: they could disclose to a shopper what others requested.
const EXPOSED: [HeaderName; 6] = [
    header::AGE,
    header::ETAG,
    RATE_LIMIT,
    RATE_LIMIT_POLICY,
    header::RETRY_AFTER,
    REQUEST_ID,
];

/// The configured origins (`server.cors_origins`).
#[derive(Clone, Debug, Default)]
pub(super) struct Cors(Arc<[HeaderValue]>);

impl Cors {
    pub(super) fn new(origins: &[HeaderValue]) -> Self {
        Self(origins.into())
    }

    /// Whether no origin is configured.
    pub(super) fn is_off(&self) -> bool {
        self.0.is_empty()
    }

    /// The layer that answers preflights. A script may send a shopper's token, but neither a client's key nor a
    /// credential that the browser adds by itself.
    pub(super) fn layer(&self, methods: Vec<Method>) -> CorsLayer {
        CorsLayer::new()
            .allow_origin(self.0.to_vec())
            .allow_methods(methods)
            .allow_headers(ALLOWED)
            .max_age(PREFLIGHT_LIFETIME)
    }

    /// Lets scripts of this origin read the response, if the origin is configured.
    pub(super) fn allow(&self, origin: Option<&[u8]>, headers: &mut HeaderMap) {
        let origin = self
            .0
            .iter()
            .find(|listed| Some(listed.as_bytes()) == origin);
        let Some(origin) = origin else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        let exposed = EXPOSED.each_ref().map(HeaderName::as_str).join(",");
        if let Ok(exposed) = HeaderValue::try_from(exposed) {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}
