//! Why operations have no result, and why the tier is unavailable.

use super::{Unavailable, protocol::BackendError};

/// Why an operation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Timeout,
    Unreachable,
    Epoch,
    ReadOnly,
    Full,
    Forbidden,
    Unexpected,
}

/// Why the tier is unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It has not been connected yet.
    Starting,
    /// An operation failed.
    Fault(Fault),
    /// No configured key unwraps the epoch's secret.
    WrongKey,
    /// The stream did not follow to the current epoch, or is not the one that was read.
    Behind,
    /// The configuration of its connections was reloaded.
    Reloaded,
}

impl Fault {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Fault::Timeout => "timeout",
            Fault::Unreachable => "unreachable",
            Fault::Epoch => "epoch",
            Fault::ReadOnly => "read_only",
            Fault::Full => "full",
            Fault::Forbidden => "forbidden",
            Fault::Unexpected => "unexpected",
        }
    }
}

impl From<BackendError> for Fault {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::Unreachable => Fault::Unreachable,
            BackendError::Epoch => Fault::Epoch,
            BackendError::ReadOnly => Fault::ReadOnly,
            BackendError::Full => Fault::Full,
            BackendError::Forbidden => Fault::Forbidden,
            BackendError::Unexpected => Fault::Unexpected,
        }
    }
}

impl From<Fault> for Unavailable {
    fn from(_: Fault) -> Self {
        Unavailable
    }
}

impl Why {
    /// The name for operators.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Why::Starting | Why::Reloaded => "connecting",
            Why::Fault(Fault::Timeout) => "timeout",
            Why::Fault(Fault::Unreachable) => "unreachable",
            Why::Fault(Fault::Epoch) | Why::Behind => "stream behind",
            Why::Fault(Fault::ReadOnly) => "read-only server",
            Why::Fault(Fault::Full) => "server out of memory",
            Why::Fault(Fault::Forbidden) => "forbidden",
            Why::Fault(Fault::Unexpected) => "unexpected reply",
            Why::WrongKey => "wrong key",
        }
    }
}
