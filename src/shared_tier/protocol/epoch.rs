//! Epochs.

use bytes::Bytes;

use super::terms::{EpochId, Position, ServerTime, StreamLimits};

/// An epoch to begin where there is none.
#[derive(Clone, Debug)]
pub struct EpochOffer {
    /// A new random id.
    pub id: EpochId,
    /// A new random secret, wrapped.
    pub wrapped_secret: Bytes,
    /// How long its stream is kept.
    pub stream: StreamLimits,
}

/// The current epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenEpoch {
    /// Its id.
    pub id: EpochId,
    /// Its wrapped secret.
    pub wrapped_secret: Bytes,
    /// The last entry of its stream.
    pub last: Position,
    /// The server's time.
    pub now: ServerTime,
}
