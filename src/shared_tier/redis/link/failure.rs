//! Errors of the crate and of the server, in our words. No text of a server is kept.

use std::{error::Error, io, sync::Arc};

use redis::{ErrorKind, RedisError};
use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

use crate::shared_tier::protocol::BackendError;

/// The error of an operation.
pub(super) fn backend_error(error: &RedisError) -> BackendError {
    match error.kind() {
        ErrorKind::Io => return BackendError::Unreachable,
        ErrorKind::AuthenticationFailed => return BackendError::Forbidden,
        _ => {}
    }
    let detail = error.detail().unwrap_or_default();
    match error.code().unwrap_or_default() {
        "EPOCH" => BackendError::Epoch,
        // Refused before anything was done: by a replica, by a primary that has lost its replicas or can't write its
        // file. Another server may be the primary by now.
        "READONLY" | "NOREPLICAS" | "MASTERDOWN" | "MISCONF" => BackendError::ReadOnly,
        "OOM" => BackendError::Full,
        "NOPERM" | "NOAUTH" | "WRONGPASS" => BackendError::Forbidden,
        // The server is loading its data, or a script has been running for long.
        "LOADING" | "BUSY" => BackendError::Unreachable,
        // Within a script, where the server gives no code of its own.
        "ERR" if detail.starts_with("The user executing the script can't") => {
            BackendError::Forbidden
        }
        _ => BackendError::Unexpected,
    }
}

/// Why no connection was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFailure {
    /// The host name could not be resolved.
    #[error("the host name has no address")]
    UnknownHost,
    /// Nothing listens there.
    #[error("the connection is refused: nothing listens at this address")]
    Refused,
    /// No connection was opened.
    #[error("the address can't be reached")]
    Broken,
    /// It was opened, and closed before the first reply.
    #[error(
        "the server closed the connection: perhaps it requires TLS or a client certificate, or has reached its limit of \
         connections"
    )]
    Closed,
    /// The TLS handshake failed for another reason, perhaps because the server does not use TLS.
    #[error("the TLS handshake failed: perhaps the server does not use TLS")]
    Tls,
    /// The authority is not trusted.
    #[error(
        "the server's certificate was issued by an authority that is not trusted: set redis.ca_file"
    )]
    Authority,
    /// The certificate has other names.
    #[error("the server's certificate is for another name than the one in redis.url")]
    OtherName,
    /// The certificate is unusable.
    #[error("the server's certificate is expired, not valid yet, or unusable")]
    Certificate,
    /// It asks for a certificate, or refuses ours.
    #[error(
        "the server requires a client certificate, or another one: set redis.client_certificate_file"
    )]
    ClientCertificate,
    /// The user or the password is wrong.
    #[error("the user or the password is wrong")]
    Password,
    /// It requires a password.
    #[error("the server requires a password")]
    NoPassword,
    /// The user may not run the first commands: `INFO`, or `SENTINEL` at a sentinel.
    #[error("the user may not run INFO, or SENTINEL at the sentinels")]
    Forbidden,
    /// There is no such database, or the user may not use it.
    #[error("the user may not use the database, or there is none of this number")]
    Database,
    /// It is a replica.
    #[error("the server is a replica: give the address of the primary")]
    Replica,
    /// Two connections led to two servers.
    #[error("the address leads to several servers: give the address of one, or sentinels")]
    SeveralServers,
    /// The server is loading its data.
    #[error("the server is still loading its data")]
    Loading,
    /// The sentinels know no such service.
    #[error("the sentinels do not know the service in redis.url")]
    UnknownService,
    /// No sentinel answered in time.
    #[error("no sentinel answers")]
    SilentSentinels,
    /// A reply could not be read.
    #[error("the server does not reply like Redis or Valkey")]
    Unexpected,
}

impl ConnectFailure {
    /// The same as the error of an operation.
    pub(super) fn into_backend_error(self) -> BackendError {
        match self {
            Self::UnknownHost
            | Self::Refused
            | Self::Broken
            | Self::Closed
            | Self::Tls
            | Self::Authority
            | Self::OtherName
            | Self::Certificate
            | Self::SeveralServers
            | Self::Loading
            | Self::SilentSentinels => BackendError::Unreachable,
            Self::ClientCertificate
            | Self::Password
            | Self::NoPassword
            | Self::Forbidden
            | Self::Database => BackendError::Forbidden,
            Self::Replica => BackendError::ReadOnly,
            Self::UnknownService | Self::Unexpected => BackendError::Unexpected,
        }
    }

    /// How much it explains: of several failures the one that explains most is returned.
    pub(super) fn explanatory_rank(self) -> u8 {
        match self {
            Self::UnknownHost | Self::SilentSentinels => 0,
            Self::Refused | Self::Broken => 1,
            Self::Closed | Self::Tls | Self::Unexpected | Self::Loading => 2,
            _ => 3,
        }
    }
}

impl From<io::Error> for ConnectFailure {
    fn from(error: io::Error) -> Self {
        match tls_cause(&error) {
            Some(cause) => tls_failure(cause),
            None if error.kind() == io::ErrorKind::ConnectionRefused => Self::Refused,
            None => Self::Broken,
        }
    }
}

impl From<RedisError> for ConnectFailure {
    fn from(error: RedisError) -> Self {
        if error.kind() == ErrorKind::Io {
            return io_cause(&error)
                .and_then(tls_cause)
                .map_or(Self::Closed, tls_failure);
        }
        let detail = error.detail().unwrap_or_default();
        match error.code().unwrap_or_default() {
            "NOAUTH" => Self::NoPassword,
            "NOPERM" => Self::Forbidden,
            "WRONGPASS" => Self::Password,
            "LOADING" => Self::Loading,
            "ERR" if detail.contains("max number of clients") => Self::Closed,
            _ => Self::Unexpected,
        }
    }
}

/// The crate wraps the cause of an error in an `Arc`.
fn io_cause(error: &RedisError) -> Option<&io::Error> {
    let shared: &Arc<dyn Error + Send + Sync> = error.source()?.downcast_ref()?;
    shared.downcast_ref()
}

fn tls_cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn tls_failure(error: &rustls::Error) -> ConnectFailure {
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            // The signature is bad where another authority has the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                ConnectFailure::Authority
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                ConnectFailure::OtherName
            }
            _ => ConnectFailure::Certificate,
        },
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::DecryptError
            | AlertDescription::HandshakeFailure,
        ) => ConnectFailure::ClientCertificate,
        _ => ConnectFailure::Tls,
    }
}
