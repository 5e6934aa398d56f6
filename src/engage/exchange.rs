//! The interface between the client and its transport.

use std::pin::Pin;

use bytes::Bytes;

use super::error::Error;

/// The pending response to one request.
pub type ResponseFuture<'a> = Pin<Box<dyn Future<Output = Result<Bytes, Error>> + Send + 'a>>;

/// Sends requests to Engage: over HTTP in service; in the property tests a stand-in that completes responses in any
/// order.
pub trait Exchange: Send + Sync {
    /// Returns the JSON body of the response to `GET path?query`; any other outcome is an error.
    fn get<'a>(&'a self, path: &'a str, query: &'a [(&'a str, &'a str)]) -> ResponseFuture<'a>;

    /// The same with a size limit of `max_body` bytes instead of the configured one.
    fn get_large<'a>(
        &'a self,
        path: &'a str,
        query: &'a [(&'a str, &'a str)],
        max_body: usize,
    ) -> ResponseFuture<'a> {
        let _ = max_body;
        self.get(path, query)
    }
}
