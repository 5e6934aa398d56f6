//! Control routes about contacts and the kinds of their points.

use axum::{
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, ControlError, done};
use crate::{Simulator, answer::JSON, edit::Edit, json::Json};

type Answer = Result<axum::Json<Value>, ControlError>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slice {
    #[serde(default)]
    offset: usize,
    #[serde(default = "hundred")]
    count: usize,
}

fn hundred() -> usize {
    100
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewContact {
    #[serde(default = "member")]
    contact_type: String,
    attributes: Json,
}

fn member() -> String {
    "Member".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Move {
    from: String,
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedPoints {
    id: u32,
    name: String,
}

pub(super) async fn list(
    State(engage): State<Simulator>,
    Query(slice): Query<Slice>,
) -> axum::Json<Value> {
    let ids = engage.contact_ids();
    let page: Vec<&String> = ids.iter().skip(slice.offset).take(slice.count).collect();
    axum::Json(json!({"totalCount": ids.len(), "ids": page}))
}

pub(super) async fn create(
    State(engage): State<Simulator>,
    Body(contact): Body<NewContact>,
) -> Answer {
    if !matches!(contact.attributes, Json::Object(_)) {
        return Err(bad("`attributes` must be an object".to_owned()));
    }
    let id = engage.create_from(contact.attributes, &contact.contact_type);
    Ok(axum::Json(json!({"id": id})))
}

pub(super) async fn show(
    State(engage): State<Simulator>,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    let full_data = engage.full_data(&id).ok_or_else(absent)?;
    // As text, so that numbers keep their digits.
    Ok(([(header::CONTENT_TYPE, JSON)], full_data.to_string()).into_response())
}

pub(super) async fn edit(
    State(engage): State<Simulator>,
    Path(id): Path<String>,
    Body(edits): Body<Vec<Edit>>,
) -> Answer {
    let id = id.to_ascii_lowercase();
    engage.full_data(&id).ok_or_else(absent)?;
    for edit in edits {
        engage.edit(&id, edit).map_err(bad)?;
    }
    Ok(done())
}

pub(super) async fn remove(State(engage): State<Simulator>, Path(id): Path<String>) -> Answer {
    let id = id.to_ascii_lowercase();
    engage.edit(&id, Edit::Delete).map_err(|_| absent())?;
    Ok(done())
}

pub(super) async fn move_email(State(engage): State<Simulator>, Body(ids): Body<Move>) -> Answer {
    engage.try_move_email(&ids.from, &ids.to).map_err(bad)?;
    Ok(done())
}

pub(super) async fn define_points(
    State(engage): State<Simulator>,
    Body(points): Body<NamedPoints>,
) -> axum::Json<Value> {
    engage.define_points(points.id, &points.name);
    done()
}

pub(super) async fn remove_point_definition(
    State(engage): State<Simulator>,
    Path(id): Path<u32>,
) -> Answer {
    if !engage.remove_point_definition(id) {
        let what = "no such point definition".to_owned();
        return Err(ControlError(StatusCode::NOT_FOUND, what));
    }
    Ok(done())
}

fn bad(reason: String) -> ControlError {
    ControlError(StatusCode::BAD_REQUEST, reason)
}

fn absent() -> ControlError {
    ControlError(StatusCode::NOT_FOUND, "no such contact".to_owned())
}
