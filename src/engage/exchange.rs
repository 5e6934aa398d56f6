//! The seam between what is asked of Engage and how it is carried there.

use std::pin::Pin;

use bytes::Bytes;

use super::Error;

/// The answer to one question, in the making.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Bytes, Error>> + Send + 'a>>;

/// Carries a question to Engage and its answer back: over HTTP in service, and under the hand of the
/// property tests, which let answers come in any order.
pub trait Exchange: Send + Sync {
    /// The JSON body of the answer to `GET path?query`; any other outcome is an error.
    fn get<'a>(&'a self, path: &'a str, query: &'a [(&'a str, &'a str)]) -> Answering<'a>;

    /// The same where the body may be as large as `max_body`, which is more than others may be.
    fn get_large<'a>(
        &'a self,
        path: &'a str,
        query: &'a [(&'a str, &'a str)],
        max_body: usize,
    ) -> Answering<'a> {
        let _ = max_body;
        self.get(path, query)
    }
}
