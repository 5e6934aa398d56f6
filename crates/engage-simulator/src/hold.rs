//! Barriers that hold calls until a test releases them.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Semaphore;

use crate::endpoint::Endpoint;

/// Holds the calls to an endpoint; dropping it releases them.
///
/// Calls are recorded on arrival. Whether the response is computed on arrival or on release depends on the function that
/// created the hold.
#[derive(Debug)]
#[must_use = "dropping a hold releases its calls"]
pub struct Hold(Arc<Barrier>);

#[derive(Debug)]
pub(crate) struct Barrier {
    endpoint: Endpoint,
    /// Whether the response is computed after the release.
    pub(crate) is_before_answer: bool,
    permits: Semaphore,
    waiting: AtomicUsize,
}

impl Hold {
    /// Releases all calls, including future ones.
    pub fn release(&self) {
        self.0.permits.close();
    }

    /// Releases the call that has waited longest, or else the next one.
    pub fn release_one(&self) {
        self.0.permits.add_permits(1);
    }

    /// Number of held calls.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::SeqCst)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release();
    }
}

impl Barrier {
    pub(crate) async fn pass(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _left = WaitingGuard(&self.waiting);
        // An error means that the hold was released.
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
    }
}

/// Decrements the number of held calls, even if the caller hangs up.
struct WaitingGuard<'a>(&'a AtomicUsize);

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The active holds; the latest one on an endpoint applies.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<Vec<Arc<Barrier>>>);

impl Holds {
    pub(crate) fn add(&self, endpoint: Endpoint, is_before_answer: bool) -> Hold {
        let barrier = Arc::new(Barrier {
            endpoint,
            is_before_answer,
            permits: Semaphore::new(0),
            waiting: AtomicUsize::new(0),
        });
        let mut barriers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        barriers.push(barrier.clone());
        Hold(barrier)
    }

    pub(crate) fn barrier(&self, called: Endpoint) -> Option<Arc<Barrier>> {
        let mut barriers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        barriers.retain(|barrier| !barrier.permits.is_closed());
        let mut latest = barriers.iter().rev();
        latest
            .find(|barrier| barrier.endpoint.covers(called))
            .map(Arc::clone)
    }
}
