//! The primitives on which fences and flights rest, under names of our own: `crates/schedules` compiles
//! the cache room with others in their place, under which a checker tries the orders in which threads
//! may run. A leaf.

pub use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

/// Runs a task beside the caller's.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(task));
}
