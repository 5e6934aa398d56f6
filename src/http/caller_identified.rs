//! Whether a request had a valid credential. Its log event is then written without a limit; events that anyone on the
//! network can cause are limited.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::Extensions;

/// Set when a credential is valid, read when the request has been answered.
#[derive(Debug, Default)]
pub(super) struct CallerIdentified(AtomicBool);

impl CallerIdentified {
    /// The flag of the request with these extensions.
    pub(super) fn from_extensions(extensions: &Extensions) -> Arc<Self> {
        extensions.get().cloned().unwrap_or_default()
    }

    /// Call when the caller's credential is valid.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the credential was valid.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
