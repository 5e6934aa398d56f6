//! Barriers: calls that a test keeps waiting until it lets them go.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Semaphore;

use crate::endpoint::Endpoint;

/// Keeps the calls to an endpoint waiting; dropping it lets all of them go.
///
/// The calls are recorded as they arrive. Whether a held call answers with the world of its arrival
/// or of its release depends on which function made the hold.
#[derive(Debug)]
#[must_use = "a hold that is dropped holds nothing"]
pub struct Hold(Arc<Gate>);

#[derive(Debug)]
pub(crate) struct Gate {
    endpoint: Endpoint,
    /// Whether the answer is made after the release.
    pub(crate) is_before_answer: bool,
    permits: Semaphore,
    waiting: AtomicUsize,
}

impl Hold {
    /// Lets everybody go, and from now on holds nobody.
    pub fn release(&self) {
        self.0.permits.close();
    }

    /// Lets the call go that has waited longest, or else the next one to come.
    pub fn release_one(&self) {
        self.0.permits.add_permits(1);
    }

    /// How many calls wait now.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::SeqCst)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release();
    }
}

impl Gate {
    pub(crate) async fn pass(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _left = Leaving(&self.waiting);
        // An error means that the hold was released for good.
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
    }
}

/// Counts a call out of the gate, also when its caller has hung up.
struct Leaving<'a>(&'a AtomicUsize);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The holds in force; the latest one on an endpoint catches its calls.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<Vec<Arc<Gate>>>);

impl Holds {
    pub(crate) fn add(&self, endpoint: Endpoint, is_before_answer: bool) -> Hold {
        let gate = Arc::new(Gate {
            endpoint,
            is_before_answer,
            permits: Semaphore::new(0),
            waiting: AtomicUsize::new(0),
        });
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.push(gate.clone());
        Hold(gate)
    }

    pub(crate) fn gate(&self, called: Endpoint) -> Option<Arc<Gate>> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|gate| !gate.permits.is_closed());
        let mut latest = gates.iter().rev();
        latest
            .find(|gate| gate.endpoint.covers(called))
            .map(Arc::clone)
    }
}
