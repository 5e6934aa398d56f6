//! What reqwest's errors say of a call that has no answer. They print the whole URL, and with it the identifier: only
//! the step is kept.

use std::{error::Error as StdError, io, net::SocketAddr};

use hyper_util::client::legacy;

/// The connection on which the call failed, by its address on our side; none where there was no connection.
pub(super) fn connection(error: &reqwest::Error) -> Option<SocketAddr> {
    let error = causes(error).find_map(|cause| cause.downcast_ref::<legacy::Error>())?;
    let mut extensions = http::Extensions::new();
    error.connect_info()?.get_extras(&mut extensions);
    local_address(&extensions)
}

/// The address on our side of the connection over which an answer came.
pub(super) fn local_address(extensions: &http::Extensions) -> Option<SocketAddr> {
    let info = extensions.get::<legacy::connect::HttpInfo>()?;
    Some(info.local_addr())
}

/// rustls tells its failures as invalid data.
pub(super) fn is_about_tls(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        kind == Some(io::ErrorKind::InvalidData)
    })
}

/// An answer came whose head is no HTTP: asking once more would not make it any.
pub(super) fn is_about_http(error: &reqwest::Error) -> bool {
    error.is_request()
        && causes(error).any(|cause| {
            let error = cause.downcast_ref::<hyper::Error>();
            error.is_some_and(hyper::Error::is_parse)
        })
}

/// Whether the request was certainly not processed: it was not sent, its stream of HTTP/2 was refused (RFC 9113, 8.7),
/// or the connection went away in good order before it (6.8).
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

/// Whether its stream of HTTP/2 was refused, on a connection that stays.
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

/// Whether the connection is dead: TCP had no acknowledgement in time, or a ping no answer.
pub(super) fn is_about_silence(error: &reqwest::Error) -> bool {
    error.is_timeout() && !error.is_connect()
}

/// What led to the error. An I/O error that wraps another names the other's cause as its own, and so
/// leaves the other out: it is looked into instead.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first = error.source();
    std::iter::successors(first, |error| match error.downcast_ref::<io::Error>() {
        Some(error) => Some(error.get_ref()? as _),
        None => (**error).source(),
    })
}
