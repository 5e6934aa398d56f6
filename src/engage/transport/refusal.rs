//! Reads the body of a refusal: its code and, if several contacts share an identifier, their ids.

use reqwest::{Response, StatusCode};

use super::answer;
use crate::{
    domain::{ContactId, Matches},
    json::{self, Object},
};

/// The contents of a refusal's body.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    /// The `errorCode`, if it has the form of a code.
    pub(super) code: Option<Box<str>>,
    /// The contacts that share the identifier, from a 409.
    pub(super) matches: Matches,
}

/// Reads what the body contains of these. Nothing, if the body is too large or breaks off.
pub(super) async fn read(response: Response, max_body: usize) -> Refusal {
    let is_conflict = response.status() == StatusCode::CONFLICT;
    let Ok(body) = answer::read(response, max_body).await else {
        return Refusal::default();
    };
    Refusal {
        code: code(&body),
        matches: if is_conflict {
            matches(&body).unwrap_or_default()
        } else {
            Matches::default()
        },
    }
}

fn code(body: &[u8]) -> Option<Box<str>> {
    let body: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
    let code = body
        .get("errorCode")
        .or_else(|| body.get("ErrorCode"))?
        .as_str()?;
    let is_code =
        (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_code.then(|| code.into())
}

/// `messageDetails.multipleMatchesFound` [seen in two clients]: an array of contact ids.
fn matches(body: &[u8]) -> Option<Matches> {
    let details = Object::parse(body)?.object("messageDetails")?;
    let listed = json::list(details.get("multipleMatchesFound")?)?;
    let id = |listed| ContactId::parse_lenient(&json::text(listed)?);
    Some(Matches::of(listed.into_iter().map(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &str = "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01";
    const OTHER: &str = "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e02";

    fn found(list: &str) -> Option<Matches> {
        let body = format!(r#"{{"messageDetails":{{"multipleMatchesFound":{list}}}}}"#);
        matches(body.as_bytes())
    }

    fn ids(texts: &[&str]) -> Vec<ContactId> {
        let id = |text: &&str| ContactId::parse(text).expect("a contact id");
        texts.iter().map(id).collect()
    }

    #[test]
    fn listed_contacts_are_read() {
        let listed = found(&format!(r#"["{SOME}", "{}"]"#, OTHER.to_uppercase()));
        let listed = listed.expect("a list");
        assert_eq!(listed.ids(), ids(&[SOME, OTHER]));
        assert!(listed.are_complete());
    }

    #[test]
    fn unreadable_items_leave_the_list_incomplete() {
        for item in [r#""x""#, "null", "7", "{}", "[]", r#""""#] {
            let listed = found(&format!(r#"["{SOME}", {item}, "{OTHER}"]"#)).expect("a list");
            assert_eq!(listed.ids(), ids(&[SOME, OTHER]), "{item}");
            assert!(!listed.are_complete(), "{item}");
        }
    }

    #[test]
    fn body_without_a_list_names_no_contact() {
        for list in ["null", "{}", r#""x""#, "7"] {
            assert_eq!(found(list), None, "{list}");
        }
        for body in [
            "",
            "[]",
            "null",
            r#"{"messageDetails":[]}"#,
            r#"{"messageDetails":{}}"#,
        ] {
            assert_eq!(matches(body.as_bytes()), None, "{body}");
        }
    }
}
