//! The control API: the operations of the Rust handle over HTTP, for demos and load runs.
//!
//! The crate documentation lists the routes. They need no key: keep the listener on loopback.

mod contacts;
mod holds;
mod traffic;

use axum::{
    Json, Router,
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Simulator, service};

/// All routes of the listener: the control API, and Engage's.
pub(crate) fn router(engage: Simulator) -> Router {
    let holds = holds::HoldRegistry::default();
    Router::new()
        .route(
            "/control/contacts",
            get(contacts::list).post(contacts::create),
        )
        .route(
            "/control/contacts/{id}",
            get(contacts::show)
                .post(contacts::edit)
                .delete(contacts::remove),
        )
        .route("/control/move-email", post(contacts::move_email))
        .route("/control/point-definitions", post(contacts::define_points))
        .route(
            "/control/point-definitions/{id}",
            delete(contacts::remove_point_definition),
        )
        .route(
            "/control/settings",
            get(traffic::facts).post(traffic::settings),
        )
        .route(
            "/control/faults",
            post(traffic::add_fault).delete(traffic::clear_faults),
        )
        .route("/control/latency", post(traffic::latency))
        .route(
            "/control/calls",
            get(traffic::calls).delete(traffic::forget_calls),
        )
        .route("/control/calls/log", get(traffic::log))
        .route("/control/clock", post(traffic::clock))
        .route(
            "/control/webhooks",
            post(traffic::webhooks_to).delete(traffic::webhooks_off),
        )
        .route("/control/webhooks/send", post(traffic::send_webhook))
        .route("/control/webhooks/resend", post(traffic::resend_webhooks))
        .route("/control/webhooks/deliveries", get(traffic::deliveries))
        .with_state(engage.clone())
        .merge(
            Router::new()
                .route("/control/holds", post(holds::add))
                .route(
                    "/control/holds/{hold}/release-one",
                    post(holds::release_one),
                )
                .route("/control/holds/{hold}", delete(holds::release))
                .with_state((engage.clone(), holds)),
        )
        .route(
            "/control/{*unknown}",
            get(unknown).post(unknown).delete(unknown),
        )
        .fallback_service(axum::handler::Handler::with_state(service::handle, engage))
}

async fn unknown() -> ControlError {
    ControlError(StatusCode::NOT_FOUND, "no such control route".to_owned())
}

/// An error of the control API, sent as `{"error": …}`.
struct ControlError(StatusCode, String);

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

fn done() -> Json<Value> {
    Json(json!({"ok": true}))
}

/// A JSON body of any content type, so that a bare `curl -d` works.
struct Body<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ControlError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ControlError> {
        let bad = |reason: String| ControlError(StatusCode::BAD_REQUEST, reason);
        let bytes = bytes::Bytes::from_request(request, state)
            .await
            .map_err(|rejection| bad(rejection.body_text()))?;
        let body = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        Ok(Self(body))
    }
}
