//! Which pages' scripts may ask, what they may send, and what they may read. Where pages are listed, a layer in front of
//! the routes answers preflights; what is answered without the routes (a request that can't be read, a panic) bears the
//! same headers by [`Cors::allow`].

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tower_http::cors::CorsLayer;

use super::request_id::REQUEST_ID;

/// How long a browser may remember what a page may send.
const PREFLIGHT_LIFETIME: Duration = Duration::from_secs(600);

/// Where answers differ by the page that asks.
pub(super) const VARY_BY_ORIGIN: HeaderValue =
    HeaderValue::from_static("Accept-Encoding, Authorization, X-Api-Key, Origin");

/// What a page may read beside what it always may.
const EXPOSED: [HeaderName; 4] = [header::AGE, header::ETAG, header::RETRY_AFTER, REQUEST_ID];

/// The listed pages, by their origins.
#[derive(Clone, Debug, Default)]
pub(super) struct Cors(Arc<[HeaderValue]>);

impl Cors {
    pub(super) fn new(origins: &[HeaderValue]) -> Self {
        Self(origins.into())
    }

    /// Whether none is listed.
    pub(super) fn is_off(&self) -> bool {
        self.0.is_empty()
    }

    /// What scripts of those pages may send and read: a shopper's token, never a client's key, and no
    /// credential that the browser adds by itself.
    pub(super) fn layer(&self, methods: Vec<Method>) -> CorsLayer {
        CorsLayer::new()
            .allow_origin(self.0.to_vec())
            .allow_methods(methods)
            .allow_headers([
                header::AUTHORIZATION,
                header::CACHE_CONTROL,
                header::CONTENT_TYPE,
                header::IF_NONE_MATCH,
                REQUEST_ID,
            ])
            .expose_headers(EXPOSED)
            .max_age(PREFLIGHT_LIFETIME)
    }

    /// Lets a page of this origin read an answer that the layer has not seen, if the page is listed.
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
