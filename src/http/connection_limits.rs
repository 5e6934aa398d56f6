//! What connections may take.

use std::time::Duration;

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// For a request's head, from its first byte.
    pub header_timeout: Duration,
    /// Between requests.
    pub idle_timeout: Duration,
    /// For the peer to accept what is written.
    pub write_timeout: Duration,
    /// For a request's body, and for the remainder of one that the handler does not read.
    pub body_timeout: Duration,
    /// The largest remainder, in bytes, that is read although the handler does not need it.
    pub max_body: u64,
    /// Connections at the same time.
    pub max_connections: usize,
    /// For responses under way at shutdown.
    pub shutdown_grace: Duration,
}
