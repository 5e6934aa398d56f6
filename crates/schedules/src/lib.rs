//! The cache, word for word, on other primitives: the locks, atomics and tasks are
//! [shuttle](https://docs.rs/shuttle)'s, which runs the same test under many orders of its threads and
//! replays the one that fails. In the place of moka, which stores records, negative entries and failures, is a plain map
//! under a lock for each key: what the cache relies on of it. `quick_cache`, which stores aliases, is taken as it is: each of
//! its operations is one step, and their order is decided by locks of ours.
//!
//! The source is linked, not copied: `src/cache.rs` and its files are compiled here a second time.
//! Why shuttle and not loom: a race here takes three actors of some dozen steps each, which loom's
//! exhaustive search does not finish; and shuttle runs futures, so that flights are explored too. moka
//! itself and tokio's `watch` are taken as they are: their own projects test them so.

// The included files call the store by its name.
extern crate self as moka;

pub mod cache;
pub mod setup;

mod store;

pub use self::store::notification;
pub(crate) use self::store::{Entry, ops, sync};

/// The modules that the cache uses, as they are.
pub mod clock {
    pub use engage_bff::clock::*;
}

/// The token bucket, as it is.
pub mod rate {
    pub use engage_bff::rate::*;
}

/// Primitives that the checker controls.
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
