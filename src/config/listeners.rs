//! The sections `server` and `operations`: the two listeners.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{duration, printed};

/// The data listener.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// How long a caller waits at most for the response.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    /// How long a request's head may take to arrive.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// How long a request's body may take to arrive.
    #[serde(with = "duration")]
    pub body_timeout: Duration,
    /// How long a connection may stay idle between requests.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// How long a client may take to accept a piece of the response.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// The largest body that is accepted.
    #[serde(serialize_with = "printed::exact")]
    pub max_body: ByteSize,
    /// The most concurrent connections; beyond it, each new connection closes the one that has been idle longest, if
    /// any is idle. Lowered at the start if the limit of open files is too low.
    pub max_connections: usize,
    /// How long the service keeps answering after SIGTERM, no longer ready, before the drain starts.
    #[serde(with = "duration")]
    pub shutdown_delay: Duration,
    /// How long the shutdown may take after that. Responses in flight get all but two seconds of it, or half if it is
    /// shorter than four; if traces are sent, one second less, or half of that if it is shorter than two.
    #[serde(with = "duration")]
    pub shutdown_grace: Duration,
    /// Whether a national id may be given in a URL.
    pub allow_national_id_in_url: bool,
    /// The origins whose scripts may send requests with a shopper's token.
    pub cors_origins: Vec<String>,
    /// Whether plain hits are answered without hyper.
    pub fast_path: bool,
}

/// The operations listener, for operators and not for callers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OperationsConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// The token that everything except the probes, the metrics and the console's files requires, as `Authorization:
    /// Bearer`.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "printed::masked"
    )]
    pub token: Option<SecretString>,
    /// A file that contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Host names and addresses, without port, that are allowed in `Host` in addition to `localhost`, loopback addresses and
    /// the listen address.
    pub hosts: Vec<String>,
}
