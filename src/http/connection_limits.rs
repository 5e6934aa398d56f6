//! The time-outs and limits of a listener's connections.

use std::time::Duration;

/// The time-outs and limits of a listener's connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// The longest time for a request's head, from its first byte.
    pub header_timeout: Duration,
    /// The longest time that a connection may idle between requests.
    pub idle_timeout: Duration,
    /// The longest time that the peer may take to accept what is written.
    pub write_timeout: Duration,
    /// The longest time for a request's body, including a remainder that the handler does not read.
    pub body_timeout: Duration,
    /// The largest remainder, in bytes, that is read although the handler does not need it.
    pub max_body: u64,
    /// The most connections at the same time, without the reserve for probes.
    pub max_connections: usize,
    /// The longest time for responses under way at shutdown.
    pub shutdown_grace: Duration,
}
