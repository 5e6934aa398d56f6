//! The response without a customer.

use serde_json::Value;

use super::{Content, Moments, answer_json, freshness};
use crate::{
    cache::parts::Parts,
    clock::Now,
    customer::view::{Rules, Shape},
    domain::{ContactId, HistoryPart, HistorySet, Part, PartSet},
};

/// The JSON of a response without a customer, with the same keys as any other. `blank` is a contact of which nothing is
/// known; values that a response contains even about such a contact are emptied.
pub(in crate::customer) fn guest(
    rules: &Rules,
    shape: &Shape,
    history: HistorySet,
    blank: &Parts,
    now: Now,
) -> Vec<u8> {
    let content = Content {
        id: ContactId::from(uuid::Uuid::nil()),
        parts: blank,
        shown: PartSet::EMPTY,
        degraded: PartSet::EMPTY,
        history: None,
    };
    let mut moments = Moments::new(now.wall, shape.expiring_within);
    let answer = answer_json(rules, shape, &content, &mut moments);
    let mut answer = serde_json::to_value(&answer).expect("the answer's types have a JSON form");
    answer["freshness"] =
        serde_json::to_value(freshness(&content)).expect("times have a JSON form");
    empty(&mut answer);
    let parts = shape.requested.iter().map(Part::as_str);
    answer["degraded"] = parts
        .chain(history.iter().map(HistoryPart::as_str))
        .collect();
    answer.to_string().into_bytes()
}

/// Empties every list, and replaces every value that is neither a list nor an object with `null`.
fn empty(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(empty),
        Value::Array(items) => items.clear(),
        value => *value = Value::Null,
    }
}
