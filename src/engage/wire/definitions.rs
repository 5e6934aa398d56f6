//! Parses the point definitions, which name the kinds of points. In a response, only the names of point accounts depend
//! on them, so an unreadable definition is skipped; a body that is no list is an error.

use serde_json::value::RawValue;

use crate::{
    domain::{AnswerPath, Partial},
    engage::error::Error,
    json::{self, Object},
};

/// Upper bound of the definitions that are kept: a tenant has one, or a few [Voyado: points].
pub(in crate::engage) const MAX_DEFINITIONS: usize = 1000;
/// Upper bound of the length of a name, in characters. It is stored with every account of its kind.
const MAX_NAME: usize = 200;
/// Upper bound of the length of an id, in bytes.
const MAX_ID: usize = 100;

/// A point definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engage) struct PointDefinition {
    /// Its id, as the accounts write it: a number or a text.
    pub(in crate::engage) id: Box<str>,
    /// Its name, if that is readable.
    pub(in crate::engage) name: Option<Box<str>>,
}

pub(super) fn definitions(value: &RawValue) -> Result<Partial<Vec<PointDefinition>>, Error> {
    let mut elements = json::elements(value).ok_or_else(|| Error::invalid("definitions"))?;
    let is_cut = elements.len() > MAX_DEFINITIONS;
    elements.truncate(MAX_DEFINITIONS);
    let mut unnamed = Vec::new();
    let mut read = json::readable(elements, |element| {
        let item = element.ok_or("definitions[]")?;
        let id = item.id("id").filter(|id| id.len() <= MAX_ID);
        let name = name(&item).unwrap_or_else(|path| {
            unnamed.push(path);
            None
        });
        Ok(PointDefinition {
            id: id.ok_or("definitions[].id")?,
            name,
        })
    });
    read.left_out.append(&mut unnamed);
    if is_cut {
        read.left_out.push("definitions");
    }
    Ok(read)
}

/// The name; `None` without one.
fn name(item: &Object<'_>) -> Result<Option<Box<str>>, AnswerPath> {
    if !item.is_filled("name") {
        return Ok(None);
    }
    let is_short = |name: &str| name.chars().take(MAX_NAME + 1).count() <= MAX_NAME;
    let name = item.id("name").filter(|name| is_short(name));
    name.map(Some).ok_or("definitions[].name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Partial<Vec<PointDefinition>> {
        let value: &RawValue = serde_json::from_str(body).expect("JSON");
        definitions(value).expect("a list")
    }

    fn definition(id: &str, name: Option<&str>) -> PointDefinition {
        PointDefinition {
            id: id.into(),
            name: name.map(Into::into),
        }
    }

    #[test]
    fn ids_are_numbers_or_texts_and_unreadable_items_are_skipped() {
        let found = read(
            r#"[{"id":1,"name":"Bonus","description":"x","links":[]}, {"id":"2","name":"<b>\"Ö\"</b>"},
                {"id":"e0c1","name":null}, {"id":4}, {"id":5,"name":" "},
                {"id":6,"name":{"sv":"Bonus"}}, {"id":7,"name":true}, {"id":8,"name":90},
                3, "four", null, [], {}, {"name":"No id"}, {"id":{},"name":"a"}, {"id":true,"name":"a"}]"#,
        );
        assert_eq!(
            found.data,
            [
                definition("1", Some("Bonus")),
                definition("2", Some("<b>\"Ö\"</b>")),
                definition("e0c1", None),
                definition("4", None),
                definition("5", None),
                definition("6", None),
                definition("7", None),
                definition("8", Some("90")),
            ]
        );
        assert_eq!(found.left_out.len(), 10, "{:?}", found.left_out);
    }

    #[test]
    fn number_of_definitions_and_length_of_names_are_bounded() {
        let item = |id: usize| format!(r#"{{"id":{id},"name":"P{id}"}}"#);
        let list = |count: usize| {
            let items: Vec<String> = (0..count).map(item).collect();
            format!("[{}]", items.join(","))
        };
        assert_eq!(read(&list(MAX_DEFINITIONS)).left_out, [""; 0]);
        let many = read(&list(10_000));
        assert_eq!(many.data.len(), MAX_DEFINITIONS);
        assert_eq!(many.left_out, ["definitions"]);
        for (length, is_kept) in [(200, true), (201, false), (1_000_000, false)] {
            let name = "ö".repeat(length);
            let found = read(&format!(r#"[{{"id":1,"name":"{name}"}}]"#));
            let expected = is_kept.then_some(&*name);
            assert!(found.data == [definition("1", expected)], "{length}");
        }
        let long = "9".repeat(MAX_ID + 1);
        assert_eq!(read(&format!(r#"[{{"id":"{long}","name":"a"}}]"#)).data, []);
    }

    #[test]
    fn anything_but_a_list_is_an_error() {
        for body in ["{}", "1", "\"<html>\"", "true", "null"] {
            let value: &RawValue = serde_json::from_str(body).expect("JSON");
            assert!(definitions(value).is_err(), "{body}");
        }
    }
}
