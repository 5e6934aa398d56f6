//! The values that must not be found where nobody looks for them. Every test of this suite searches all
//! that the service logs, and every refusal, for them.

use engage_simulator::people::EVERYONE;

use crate::harness::{READER, SHOP, TILL};

/// Personal values of everybody in the pretend Engage, and secrets, in lower case.
fn marks() -> Vec<String> {
    let mut marks: Vec<String> = EVERYONE
        .iter()
        .flat_map(|person| {
            let values = [
                person.id,
                person.email,
                person.phone,
                person.national_id,
                person.external_id,
            ];
            let spelt_otherwise = [
                person.id.replace('-', ""),
                person.email.replace('@', "%40"),
                person.phone.replacen("+46", "0", 1),
                person.national_id.chars().skip(2).collect(),
            ];
            values.map(str::to_owned).into_iter().chain(spelt_otherwise)
        })
        .collect();
    marks.extend(["Testsson", TILL, SHOP, READER, "test-engage-key"].map(str::to_owned));
    marks.retain(|mark| !mark.is_empty());
    marks.iter().map(|mark| mark.to_lowercase()).collect()
}

/// Fails where the text holds one of them.
#[track_caller]
pub(crate) fn assert_holds_none(what: &str, text: &str) {
    let text = text.to_lowercase();
    for mark in marks() {
        if let Some(place) = text.find(&mark) {
            let around = text.get(place.saturating_sub(200)..(place + 100).min(text.len()));
            panic!("{what} holds {mark}: {around:?}");
        }
    }
}

#[test]
#[should_panic(expected = "holds")]
fn what_is_searched_for_is_found_in_any_spelling() {
    assert_holds_none("a log", "GET /customer?email=Alva.Testsson%40example.com");
}
