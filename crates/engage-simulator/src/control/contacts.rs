//! Control routes about the people of the world.

use axum::{
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Refused, done};
use crate::{Simulator, answer::JSON, edit::Edit, json::Json};

type Answer = Result<axum::Json<Value>, Refused>;

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

pub(super) async fn list(
    State(engage): State<Simulator>,
    Query(slice): Query<Slice>,
) -> axum::Json<Value> {
    let ids = engage.contact_ids();
    let shown: Vec<&String> = ids.iter().skip(slice.offset).take(slice.count).collect();
    axum::Json(json!({"totalCount": ids.len(), "ids": shown}))
}

pub(super) async fn create(
    State(engage): State<Simulator>,
    Body(contact): Body<NewContact>,
) -> Answer {
    if !matches!(contact.attributes, Json::Object(_)) {
        return Err(bad("`attributes` is an object".to_owned()));
    }
    let id = engage.create_from(contact.attributes, &contact.contact_type);
    Ok(axum::Json(json!({"id": id})))
}

pub(super) async fn show(
    State(engage): State<Simulator>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let truth = engage.truth(&id).ok_or_else(absent)?;
    // The text itself, so that numbers keep their digits.
    Ok(([(header::CONTENT_TYPE, JSON)], truth.to_string()).into_response())
}

pub(super) async fn edit(
    State(engage): State<Simulator>,
    Path(id): Path<String>,
    Body(edits): Body<Vec<Edit>>,
) -> Answer {
    let id = id.to_ascii_lowercase();
    engage.truth(&id).ok_or_else(absent)?;
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

fn bad(reason: String) -> Refused {
    Refused(StatusCode::BAD_REQUEST, reason)
}

fn absent() -> Refused {
    Refused(StatusCode::NOT_FOUND, "there is no such contact".to_owned())
}
