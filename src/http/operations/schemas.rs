//! The schemas of what operators read, for `docs/openapi-operations.json`. Compiled for tests alone.

use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    cache::StatsJson,
    decisions::{DecisionsJson, PartJson},
    events::EventJson,
    explain::{
        ExplanationJson, ProvenanceJson,
        shared::{FoundJson, ValueJson},
    },
    reload::Reloaded,
};

/// The names and schemas of the bodies and of all types that they contain. What a derived schema cannot say is left to the
/// assembly of the document.
pub(in crate::http) fn of_answers() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = Vec::new();
    add::<StatsJson>(&mut schemas);
    add::<DecisionsJson>(&mut schemas);
    add::<PartJson>(&mut schemas);
    add::<ExplanationJson>(&mut schemas);
    add::<ProvenanceJson>(&mut schemas);
    add::<FoundJson>(&mut schemas);
    add::<ValueJson>(&mut schemas);
    // This adds the readiness too, which the event contains.
    add::<EventJson<'static>>(&mut schemas);
    add::<Reloaded>(&mut schemas);
    schemas
}

fn add<Body: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((Body::name().into_owned(), Body::schema()));
    Body::schemas(schemas);
}
