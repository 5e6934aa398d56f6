//! Whether a request's caller has been identified. What a client causes is logged, what anybody can cause is limited.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::Extensions;

/// Noted where a credential is found valid, read when the request has been answered.
#[derive(Debug, Default)]
pub(super) struct CallerIdentified(AtomicBool);

impl CallerIdentified {
    /// That of the request with these extensions.
    pub(super) fn from_extensions(extensions: &Extensions) -> Arc<Self> {
        extensions.get().cloned().unwrap_or_default()
    }

    /// The caller's credential is valid.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
