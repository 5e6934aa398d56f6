//! The same seed gives the same contacts, and each of them can be found.

use std::collections::HashSet;

use engage_simulator::{Simulator, SimulatorClock, fixtures::ALL_CONTACTS};
use serde_json::Value;

use crate::harness::{Engage, NOW};

async fn world(seed: u64, contacts: usize) -> Vec<Value> {
    let clock = SimulatorClock::manual(NOW.parse().expect("a timestamp"));
    let builder = Simulator::builder().seed(seed).contacts(contacts);
    let engage = builder.clock(clock).start().await.expect("a free port");
    let ids = engage.contact_ids();
    ids.iter()
        .map(|id| engage.snapshot(id).expect("a contact"))
        .collect()
}

#[tokio::test]
async fn seed_determines_the_contacts() {
    let one = world(7, 50).await;
    assert_eq!(one, world(7, 50).await);
    let other = world(8, 50).await;
    let known = ALL_CONTACTS.len();
    assert_eq!(one[..known], other[..known]);
    assert_ne!(one[known..], other[known..]);
}

#[tokio::test]
async fn generated_contacts_share_no_identifier() {
    let contacts = world(1, 5000).await;
    assert_eq!(contacts.len(), 5005);
    for key in [
        "email",
        "mobilePhone",
        "socialSecurityNumber",
        "memberNumber",
        "externalId",
    ] {
        let values: Vec<String> = contacts
            .iter()
            .filter_map(|contact| contact["attributes"][key].as_str())
            .filter(|value| *value != "shared@example.com")
            .map(str::to_lowercase)
            .collect();
        let different: HashSet<&String> = values.iter().collect();
        assert_eq!(different.len(), values.len(), "{key}");
        assert!(values.len() > 3000, "{key}");
    }
}

#[tokio::test]
async fn generated_contacts_are_varied() {
    let contacts = world(1, 1000).await;
    let text: String = contacts.iter().map(Value::to_string).collect();
    for sign in [
        "\"secrecyMarked\":true",
        "\"approved\":false",
        "invalidEmail",
        "PERCENT",
        "MONEY",
        "EXTERNALOFFER",
        "MANUAL",
        "SWIPE",
        "\"FI\"",
        "someFieldAddedLater",
        "\"Contact\"",
    ] {
        assert!(text.contains(sign), "{sign}");
    }
}

#[tokio::test]
async fn generated_contacts_are_found_by_their_identifiers() {
    let engage = Engage::with(|builder| builder.contacts(60).rate_limit(None)).await;
    for id in &engage.simulator.contact_ids()[ALL_CONTACTS.len()..] {
        let data = engage.simulator.snapshot(id).expect("a contact");
        for (parameter, key) in [
            ("email", "email"),
            ("mobilePhone", "mobilePhone"),
            ("customKey", "memberNumber"),
            ("socialSecurityNumber", "socialSecurityNumber"),
        ] {
            if let Some(value) = data["attributes"][key].as_str() {
                let query = [(parameter, value)];
                let found = engage.get("/api/v3/contacts/id", &query).await.ok();
                assert_eq!(found, id.as_str(), "{parameter}={value}");
            }
        }
    }
}
