//! Control routes about holds, which are kept here under a number.

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

use super::{Body, Refused, done};
use crate::{Endpoint, Hold, Simulator};

/// The holds that were made over HTTP.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    latest: u64,
    holds: HashMap<u64, Hold>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewHold {
    endpoint: Endpoint,
    /// Whether the answer is made after the release.
    #[serde(default)]
    before: bool,
}

pub(super) async fn add(
    State((engage, kept)): State<(Simulator, Kept)>,
    Body(new): Body<NewHold>,
) -> Json<Value> {
    let hold = if new.before {
        engage.hold_before(new.endpoint)
    } else {
        engage.hold(new.endpoint)
    };
    let mut shelf = kept.shelf();
    shelf.latest += 1;
    let number = shelf.latest;
    shelf.holds.insert(number, hold);
    Json(json!({"hold": number}))
}

pub(super) async fn release_one(
    State((_, kept)): State<(Simulator, Kept)>,
    Path(number): Path<u64>,
) -> Result<Json<Value>, Refused> {
    let shelf = kept.shelf();
    shelf.holds.get(&number).ok_or_else(absent)?.release_one();
    Ok(done())
}

pub(super) async fn release(
    State((_, kept)): State<(Simulator, Kept)>,
    Path(number): Path<u64>,
) -> Result<Json<Value>, Refused> {
    let hold = kept.shelf().holds.remove(&number);
    hold.ok_or_else(absent)?.release();
    Ok(done())
}

impl Kept {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn absent() -> Refused {
    Refused(StatusCode::NOT_FOUND, "there is no such hold".to_owned())
}
