//! Control routes about holds, which are registered by number.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, ControlError, done};
use crate::{Endpoint, Hold, Simulator};

/// The holds created over HTTP.
#[derive(Debug, Clone, Default)]
pub(super) struct HoldRegistry(Arc<Mutex<Registry>>);

#[derive(Debug, Default)]
struct Registry {
    latest: u64,
    holds: HashMap<u64, Hold>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewHold {
    endpoint: Endpoint,
    /// Whether the response is computed after the release.
    #[serde(default)]
    before: bool,
}

pub(super) async fn add(
    State((engage, registry)): State<(Simulator, HoldRegistry)>,
    Body(new): Body<NewHold>,
) -> Json<Value> {
    let hold = if new.before {
        engage.hold_before(new.endpoint)
    } else {
        engage.hold(new.endpoint)
    };
    let mut holds = registry.lock();
    holds.latest += 1;
    let number = holds.latest;
    holds.holds.insert(number, hold);
    Json(json!({"hold": number}))
}

pub(super) async fn release_one(
    State((_, registry)): State<(Simulator, HoldRegistry)>,
    Path(number): Path<u64>,
) -> Result<Json<Value>, ControlError> {
    let holds = registry.lock();
    holds.holds.get(&number).ok_or_else(absent)?.release_one();
    Ok(done())
}

pub(super) async fn release(
    State((_, registry)): State<(Simulator, HoldRegistry)>,
    Path(number): Path<u64>,
) -> Result<Json<Value>, ControlError> {
    let hold = registry.lock().holds.remove(&number);
    hold.ok_or_else(absent)?.release();
    Ok(done())
}

impl HoldRegistry {
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn absent() -> ControlError {
    ControlError(StatusCode::NOT_FOUND, "no such hold".to_owned())
}
