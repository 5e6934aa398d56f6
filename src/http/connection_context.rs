//! What the streams, the service function and the request bodies of one connection share.

use std::sync::{Mutex, PoisonError};

use hyper::body::Incoming;

use super::{
    connection_slots::ConnectionPermit, connection_state::ConnectionState, peer::Peer,
    service::HttpService,
};

/// One connection: the service that answers on it, its peer, and what the peer may still send.
pub(super) struct ConnectionContext {
    pub(super) service: HttpService,
    pub(super) peer: Peer,
    pub(super) permit: ConnectionPermit,
    pub(super) unread_body: UnreadBody,
}

impl ConnectionContext {
    pub(super) fn new(service: HttpService, peer: Peer, permit: ConnectionPermit) -> Self {
        Self {
            service,
            peer,
            permit,
            unread_body: UnreadBody::default(),
        }
    }

    pub(super) fn state(&self) -> &ConnectionState {
        self.permit.state()
    }
}

/// What a handler left unread of its request's body.
#[derive(Default)]
pub(super) struct UnreadBody(Mutex<Remainder>);

/// The remainder of a request's body.
#[derive(Default)]
pub(super) enum Remainder {
    /// The body was read to its end, or there was none.
    #[default]
    Nothing,
    /// Reading failed, so the end of the body can't be found.
    Broken,
    /// A part was not read.
    Rest {
        rest: Incoming,
        /// Whether reading had begun. If the peer waited for a 100, it was sent then.
        is_begun: bool,
    },
}

impl UnreadBody {
    /// Hands the remainder back to the connection.
    pub(super) fn put(&self, remainder: Remainder) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = remainder;
    }

    pub(super) fn take(&self) -> Remainder {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
