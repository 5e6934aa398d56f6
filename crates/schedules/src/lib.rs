//! The cache, compiled unchanged over other primitives: the locks, atomics and tasks are
//! [shuttle](https://docs.rs/shuttle)'s, which runs the same test under many orders of its threads and replays the one
//! that fails. moka, which stores records, histories, negative entries and failures, is replaced by a plain map with a
//! lock for each key, which has the properties that the cache relies on. `quick_cache`, which stores aliases, is used
//! unchanged: each of its operations is one step, and our own locks decide their order.
//!
//! The source is linked, not copied: `src/cache.rs` and its files are compiled here a second time. The checker is
//! shuttle and not loom, because a race here takes three actors with about a dozen steps each, which loom's exhaustive
//! search does not finish; and because shuttle runs futures, so that flights are explored too. moka itself and tokio's
//! `watch` are tested by their own projects.

// The included files use the store under the name `moka`.
extern crate self as moka;

pub mod cache;
pub mod setup;

mod store;

pub use self::store::notification;
pub(crate) use self::store::{Entry, ops, sync};

/// The clock, unchanged.
pub mod clock {
    pub use engage_bff::clock::*;
}

/// The token bucket, unchanged.
pub mod rate {
    pub use engage_bff::rate::*;
}

/// Primitives that the model checker controls.
pub mod threads {
    pub use shuttle::sync::{
        Mutex, MutexGuard, RwLock,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    };

    /// Runs a task in the background.
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        drop(shuttle::future::spawn(task));
    }
}

/// The types that all modules share.
pub mod domain {
    pub use engage_bff::domain::*;
}
