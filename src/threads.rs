//! Synchronization primitives of the cache. `crates/schedules` compiles the cache with a model checker's primitives in
//! their place. Imports no other module.

pub use std::sync::{
    Mutex, MutexGuard, RwLock,
    atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
};

/// Spawns a task.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(task));
}
