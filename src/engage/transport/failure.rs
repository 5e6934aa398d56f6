//! Classifies reqwest's errors. They print the whole URL, which contains the identifier, so only the step is kept.

use std::{error::Error as StdError, io, net::SocketAddr};

use hyper_util::client::legacy;

/// The connection on which the call failed, by its local address; `None` without a connection.
pub(super) fn connection(error: &reqwest::Error) -> Option<SocketAddr> {
    let error = causes(error).find_map(|cause| cause.downcast_ref::<legacy::Error>())?;
    let mut extensions = http::Extensions::new();
    error.connect_info()?.get_extras(&mut extensions);
    local_address(&extensions)
}

/// The local address of the connection on which a response arrived.
pub(super) fn local_address(extensions: &http::Extensions) -> Option<SocketAddr> {
    let info = extensions.get::<legacy::connect::HttpInfo>()?;
    Some(info.local_addr())
}

/// Whether TLS failed: rustls reports that as invalid data.
pub(super) fn is_about_tls(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        kind == Some(io::ErrorKind::InvalidData)
    })
}

/// Whether the head of the response is not HTTP. A retry would not help.
pub(super) fn is_about_http(error: &reqwest::Error) -> bool {
    error.is_request()
        && causes(error).any(|cause| {
            let error = cause.downcast_ref::<hyper::Error>();
            error.is_some_and(hyper::Error::is_parse)
        })
}

/// Whether the request was certainly not processed: it was not sent, its HTTP/2 stream was refused (RFC 9113, 8.7), or
/// the connection was shut down gracefully before it (6.8).
pub(super) fn is_unprocessed(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            return error.is_canceled() || error.is_closed();
        }
        let Some(error) = cause.downcast_ref::<h2::Error>() else {
            return false;
        };
        let has_gone = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        error.is_remote() && has_gone
    }) || is_refused(error)
}

/// Whether the request's HTTP/2 stream was refused while the connection stays open.
pub(super) fn is_refused(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        let error = cause.downcast_ref::<h2::Error>();
        error.is_some_and(|error| {
            error.is_remote()
                && error.is_reset()
                && error.reason() == Some(h2::Reason::REFUSED_STREAM)
        })
    })
}

/// Whether the connection is dead: no TCP acknowledgement or no HTTP/2 ping response in time.
pub(super) fn is_dead_connection(error: &reqwest::Error) -> bool {
    error.is_timeout() && !error.is_connect()
}

/// The chain of causes. An I/O error that wraps another reports the other's source as its own and skips the other
/// itself, so it is unwrapped here.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first = error.source();
    std::iter::successors(first, |error| match error.downcast_ref::<io::Error>() {
        Some(error) => Some(error.get_ref()? as _),
        None => (**error).source(),
    })
}
