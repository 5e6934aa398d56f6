//! Liveness and readiness. Neither asks Engage: held answers can be served while it is down, and a
//! replica that says otherwise is taken away when it is needed most. A replica that has just started waits for the token
//! issuer's keys, but not for long: clients with a key need none.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{extract::State, response::Response};
use http::StatusCode;

use super::auth::{Authenticator, JwksStatus};

/// Whether this replica wants traffic: from the start until it is told to end.
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

/// Whether traffic is wanted, and tokens can be judged or are no longer waited for.
pub(super) fn is_ready(readiness: &Readiness, authenticator: &Authenticator) -> bool {
    readiness.is_ready() && authenticator.jwks_status() != JwksStatus::Starting
}

pub(super) async fn ready(
    State(readiness): State<Readiness>,
    State(authenticator): State<Arc<Authenticator>>,
) -> Response {
    let mut response = Response::default();
    if !is_ready(&readiness, &authenticator) {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
