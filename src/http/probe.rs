//! Liveness and readiness probes. Neither depends on Engage: cached responses are served while it is down, when taking
//! a replica out of service would do the most harm. For 30 seconds after its start a replica without the token issuer's
//! keys is not ready; after that it is, since clients with a key need none of them. For two seconds a replica that has
//! not caught up with the shared tier is not: it would call Engage for data that the others have.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{extract::State, response::Response};
use http::StatusCode;

use super::{auth::JwksStatus, credentials::CurrentCredentials};
use crate::customer::CustomerService;

/// Whether this replica accepts traffic: from its start until its shutdown begins.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<AtomicBool>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Readiness {
    /// Makes the readiness probes fail from now on.
    pub fn withdraw(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether traffic is accepted.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

pub(super) async fn live() -> StatusCode {
    StatusCode::OK
}

/// Whether traffic is accepted, and the issuer's keys and the shared tier are known or no longer waited for.
pub(super) fn is_ready(
    readiness: &Readiness,
    credentials: &CurrentCredentials,
    customers: &CustomerService,
) -> bool {
    readiness.is_ready()
        && credentials.now().authenticator.jwks_status() != JwksStatus::Starting
        && !customers.waits_for_shared_tier()
}

pub(super) async fn ready(
    State(readiness): State<Readiness>,
    State(credentials): State<CurrentCredentials>,
    State(customers): State<CustomerService>,
) -> Response {
    let mut response = Response::default();
    if !is_ready(&readiness, &credentials, &customers) {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
