//! The cache room, word for word, on other primitives: the locks, atomics and tasks are
//! [shuttle](https://docs.rs/shuttle)'s, which runs the same test under many orders of its threads and
//! replays the one that fails. In moka's place, which holds the negative answers, is a plain map under a lock for each
//! key: what the room relies on of it.
//!
//! The source is linked, not copied: `src/cache.rs` and its files are compiled here a second time.
//! Why shuttle and not loom: a race here takes three actors of some dozen steps each, which loom's
//! exhaustive search does not finish; and shuttle runs futures, so that flights are explored too. moka
//! itself and tokio's `watch` are taken as they are: their own projects test them so.

// The included files call the store by its name.
extern crate self as moka;

pub mod cache;

mod store;

pub(crate) use self::store::{ops, sync};

/// The room's neighbours, as they are.
pub mod clock {
    pub use engage_bff::clock::*;
}

/// The token bucket, as it is.
pub mod rate {
    pub use engage_bff::rate::*;
}

/// Primitives that the checker holds in its hand.
pub mod threads {
    pub use shuttle::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    };

    /// Runs a task beside the caller's.
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        drop(shuttle::future::spawn(task));
    }
}

/// The words that all rooms share.
pub mod domain {
    pub use engage_bff::domain::*;
}
