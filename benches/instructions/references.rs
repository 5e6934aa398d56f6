//! The same caller against servers that only send a fixed response: the part of a count that is not the service's.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Response, header};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Sends the same bytes for every read, whatever was read: the cost of the caller alone.
pub(crate) fn canned(answer: Vec<u8>) -> DuplexStream {
    let (ours, mut theirs) = tokio::io::duplex(256 * 1024);
    tokio::spawn(async move {
        let mut request = [0; 4096];
        while theirs.read(&mut request).await.is_ok_and(|read| read > 0) {
            if theirs.write_all(&answer).await.is_err() {
                return;
            }
        }
    });
    ours
}

/// Sends the same body for every request through bare hyper: the cost of HTTP.
pub(crate) fn hyper(body: Vec<u8>) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(256 * 1024);
    let body = Bytes::from(body);
    let service = service_fn(move |_| {
        let mut response = Response::new(Full::new(body.clone()));
        let json = header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(theirs), service));
    ours
}
