//! Values that must appear in no log and in no refusal. Every test that starts the service searches for them.

use engage_simulator::fixtures::ALL_CONTACTS;

use crate::harness::{READER, SHOP, TILL};

/// Personal values of the fixture contacts, and secrets, in lower case.
fn sensitive_values() -> Vec<String> {
    let mut values: Vec<String> = ALL_CONTACTS
        .iter()
        .flat_map(|person| {
            let plain = [
                person.id,
                person.email,
                person.phone,
                person.national_id,
                person.external_id,
            ];
            let variants = [
                person.id.replace('-', ""),
                person.email.replace('@', "%40"),
                person.phone.replacen("+46", "0", 1),
                person.national_id.chars().skip(2).collect(),
            ];
            plain.map(str::to_owned).into_iter().chain(variants)
        })
        .collect();
    values.extend(["Testsson", TILL, SHOP, READER, "test-engage-key"].map(str::to_owned));
    values.retain(|value| !value.is_empty());
    values.iter().map(|value| value.to_lowercase()).collect()
}

/// Fails if the text contains a sensitive value.
#[track_caller]
pub(crate) fn assert_no_sensitive_data(what: &str, text: &str) {
    let text = text.to_lowercase();
    for value in sensitive_values() {
        if let Some(place) = text.find(&value) {
            let around = text.get(place.saturating_sub(200)..(place + 100).min(text.len()));
            panic!("{what} contains {value}: {around:?}");
        }
    }
}

#[test]
#[should_panic(expected = "contains")]
fn percent_encoded_email_in_a_log_fails_the_test() {
    assert_no_sensitive_data("a log", "GET /customer?email=Alva.Testsson%40example.com");
}
