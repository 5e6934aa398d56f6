//! The interface between the client and its transport.

use std::pin::Pin;

use bytes::Bytes;

use super::error::Error;
use crate::domain::SpanContext;

/// The pending response to one request.
pub type ResponseFuture<'a> = Pin<Box<dyn Future<Output = Result<Bytes, Error>> + Send + 'a>>;

/// Options of a request, in addition to its path and query.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestOptions {
    /// The size limit of the response, in bytes, instead of the configured one.
    pub max_body: Option<usize>,
    /// The span that it belongs to.
    pub span: Option<SpanContext>,
}

/// Sends requests to Engage: over HTTP in the service; in property tests a stand-in completes responses in any order.
pub trait Exchange: Send + Sync {
    /// Returns the JSON body of the response to `GET path?query`; any other outcome is an error.
    fn get<'a>(&'a self, path: &'a str, query: &'a [(&'a str, &'a str)]) -> ResponseFuture<'a>;

    /// The same with these options, which only an exchange over HTTP uses.
    fn get_with<'a>(
        &'a self,
        path: &'a str,
        query: &'a [(&'a str, &'a str)],
        options: RequestOptions,
    ) -> ResponseFuture<'a> {
        let _ = options;
        self.get(path, query)
    }
}
