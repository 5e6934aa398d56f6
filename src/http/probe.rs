//! Liveness and readiness. Neither asks Engage: held answers can be served while it is down, and a
//! replica that says otherwise is taken away when it is needed most.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{extract::State, response::Response};
use http::StatusCode;

/// Whether this replica wants traffic: from the start until it shuts down.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<AtomicBool>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Readiness {
    /// Tells the load balancer to send no more.
    pub fn withdraw(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether more may be sent.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

pub(super) async fn live() -> StatusCode {
    StatusCode::OK
}

pub(super) async fn ready(State(readiness): State<Readiness>) -> Response {
    let mut response = Response::default();
    if !readiness.is_ready() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
