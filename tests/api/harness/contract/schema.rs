//! JSON Schema, with the keywords that the documents use.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use serde_json::{Map, Value};

/// The members that responses of this process had with a value other than `null`, each as the title of its document
/// with a pointer into it.
pub(super) static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A schema and where it is in its document.
#[derive(Clone)]
pub(super) struct Schema<'a> {
    document: &'a Value,
    pointer: String,
    pub(super) value: &'a Value,
}

impl<'a> Schema<'a> {
    pub(super) fn at(document: &'a Value, pointer: &str) -> Self {
        let value = document.pointer(pointer);
        let value = value.unwrap_or_else(|| panic!("{pointer} is not in the document"));
        Self {
            document,
            pointer: pointer.to_owned(),
            value,
        }
        .resolved()
    }

    /// The schema with this name.
    pub(super) fn named(document: &'a Value, name: &str) -> Self {
        Self::at(document, &format!("/components/schemas/{name}"))
    }

    /// A member of this schema, in the form of `SEEN`.
    fn member(&self, name: &str) -> String {
        let document = self.document["info"]["title"].as_str().unwrap_or_default();
        format!("{document} {}/properties/{name}", self.pointer)
    }

    fn resolved(self) -> Self {
        match self.value.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').expect("within the document");
                Self::at(self.document, pointer)
            }
            None => self,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Schema<'a>> {
        let escaped = key.replace('~', "~0").replace('/', "~1");
        let child = Schema {
            document: self.document,
            pointer: format!("{}/{escaped}", self.pointer),
            value: self.value.get(key)?,
        };
        Some(child.resolved())
    }

    fn each(&self, key: &str) -> Vec<Schema<'a>> {
        let Some(Value::Array(items)) = self.value.get(key) else {
            return Vec::new();
        };
        let child = |(index, value): (usize, &'a Value)| {
            let pointer = format!("{}/{key}/{index}", self.pointer);
            let document = self.document;
            Schema {
                document,
                pointer,
                value,
            }
            .resolved()
        };
        items.iter().enumerate().map(child).collect()
    }

    /// The members that the schema names, including those of `allOf`.
    fn members(&self) -> BTreeSet<&'a str> {
        let own = self.value.get("properties").and_then(Value::as_object);
        let own = own.into_iter().flat_map(Map::keys).map(String::as_str);
        let of_all = self.each("allOf");
        own.chain(of_all.iter().flat_map(Schema::members)).collect()
    }
}

/// Returns an error with the place of an invalid value and the keyword or schema that it violates. `members`: further
/// allowed members, in addition to the schema's own.
pub(super) fn validate(
    schema: &Schema<'_>,
    value: &Value,
    place: &str,
    members: Option<&BTreeSet<&str>>,
) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what} at {place:?} by {}", schema.pointer));
    let keywords = schema.value.as_object().expect("an object");
    for (keyword, expected) in keywords {
        let is_valid = match keyword.as_str() {
            "type" => match expected {
                Value::Array(types) => types.iter().any(|expected| is_of_type(expected, value)),
                expected => is_of_type(expected, value),
            },
            "const" => expected == value,
            "enum" => expected
                .as_array()
                .is_some_and(|known| known.contains(value)),
            "maxLength" | "maxItems" | "maxProperties" => length(value) <= expected.as_u64(),
            "minimum" => value.as_f64() >= expected.as_f64(),
            "format" => has_format(expected, value),
            "required" => {
                let names = expected.as_array().into_iter().flatten();
                let mut names = names.filter_map(Value::as_str);
                !value.is_object() || names.all(|name| value.get(name).is_some())
            }
            // Handled below, or without effect.
            "properties"
            | "additionalProperties"
            | "propertyNames"
            | "items"
            | "oneOf"
            | "anyOf"
            | "allOf"
            | "description"
            | "deprecated"
            | "discriminator"
            | "examples" => true,
            other => panic!("the keyword {other} is not known here"),
        };
        if !is_valid {
            return wrong(keyword);
        }
    }
    let named = schema.members();
    let members = members.unwrap_or(&named);
    for part in schema.each("allOf") {
        validate(&part, value, place, Some(members))?;
    }
    let any_of = schema.each("anyOf");
    let is_one = |part: &Schema<'_>| validate(part, value, place, None).is_ok();
    if !any_of.is_empty() && !any_of.iter().any(is_one) {
        return wrong("anyOf");
    }
    validate_choice(schema, value, place)?;
    if let (Some(items), Value::Array(values)) = (schema.get("items"), value) {
        for (index, value) in values.iter().enumerate() {
            validate(&items, value, &format!("{place}/{index}"), None)?;
        }
    }
    if let (Some(any), Value::Object(object)) = (schema.get("additionalProperties"), value) {
        for (name, value) in object {
            validate(&any, value, &format!("{place}/{name}"), None)?;
        }
    }
    let (Some(properties), Value::Object(object)) = (schema.get("properties"), value) else {
        return Ok(());
    };
    for (name, value) in object {
        let place = format!("{place}/{name}");
        if let Some(member) = properties.get(name) {
            validate(&member, value, &place, None)?;
            if !value.is_null() {
                note_seen(schema.member(name));
            }
        } else if !members.contains(&**name) {
            return Err(format!("{place} is not in {}", schema.pointer));
        }
    }
    Ok(())
}

/// Checks that exactly one schema of `oneOf` is valid. If none is valid, the error lists those of all of them.
fn validate_choice(schema: &Schema<'_>, value: &Value, place: &str) -> Result<(), String> {
    let one_of = schema.each("oneOf");
    if one_of.is_empty() {
        return Ok(());
    }
    let results: Vec<_> = one_of
        .iter()
        .map(|part| validate(part, value, place, None))
        .collect();
    match results.iter().filter(|result| result.is_ok()).count() {
        1 => Ok(()),
        0 => {
            let errors = results.into_iter().filter_map(Result::err);
            Err(errors.collect::<Vec<_>>().join("; "))
        }
        _ => Err(format!("more than one of {} at {place:?}", schema.pointer)),
    }
}

fn is_of_type(expected: &Value, value: &Value) -> bool {
    match expected.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        other => panic!("the type {other:?} is not known here"),
    }
}

fn length(value: &Value) -> Option<u64> {
    let length = match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => return Some(0),
    };
    u64::try_from(length).ok()
}

fn has_format(expected: &Value, value: &Value) -> bool {
    let text = value.as_str();
    match expected.as_str() {
        // In UTC, with milliseconds.
        Some("date-time") => text.is_none_or(|text| {
            text.len() == 24 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
        }),
        Some("uuid") => text.is_none_or(|text| uuid::Uuid::parse_str(text).is_ok()),
        Some("decimal" | "double" | "int32" | "int64") => value.is_number() || value.is_null(),
        other => panic!("the format {other:?} is not known here"),
    }
}

fn note_seen(member: String) {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.insert(member);
}

/// The members that a schema names, at any depth.
pub(super) fn collect(schema: &Schema<'_>, all: &mut BTreeSet<String>) {
    for key in ["oneOf", "anyOf", "allOf"] {
        schema.each(key).iter().for_each(|part| collect(part, all));
    }
    if let Some(items) = schema.get("items") {
        collect(&items, all);
    }
    let Some(properties) = schema.get("properties") else {
        return;
    };
    for name in schema.members() {
        // A member of `allOf` is collected there.
        let Some(member) = properties.get(name) else {
            continue;
        };
        if member.value["type"] != "null" && all.insert(schema.member(name)) {
            collect(&member, all);
        }
    }
}
