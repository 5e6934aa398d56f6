use std::collections::HashSet;

use jiff::civil::date;
use phonenumber::country;
use proptest::prelude::*;

use super::*;
use crate::domain::{ContactType, Digester, Identifier, IdentifierKind, IdentifierRules};

fn names() -> Names {
    Names::new(&EpochSecret::fixed([7; 32]))
}

fn lookup(kind: IdentifierKind, text: &str, of: Option<&str>, digester: &[u8]) -> Option<Lookup> {
    let rules = IdentifierRules {
        phone_region: country::SE,
        check_digits: false,
        national_id_country: None,
    };
    let identifier = Identifier::parse(kind, text, &rules, date(2026, 11, 23)).ok()?;
    let of = of.map(|of| ContactType::parse(of).expect("a type"));
    Some(Lookup::new(identifier, of, &Digester::with_key(digester)))
}

fn alias(kind: IdentifierKind, text: &str, of: Option<&str>) -> AliasName {
    names().alias(&lookup(kind, text, of, b"a key").expect("an identifier"))
}

/// Texts that are identifiers of one kind or another.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,3}@[a-c]{1,3}\\.se",
        "07[0-9]{8}",
        "19[0-9]{2}0[1-9]1[0-9][0-9]{4}",
        "[A-C0-9]{1,8}",
        "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
    ]
}

fn lookups() -> impl Strategy<Value = Lookup> {
    let of = proptest::option::of(prop_oneof![Just("Member"), Just("member"), Just("Contact")]);
    let kind = prop::sample::select(&IdentifierKind::ALL[..]);
    let key = any::<[u8; 4]>();
    (kind, texts(), of, key).prop_filter_map("not an identifier", |(kind, text, of, key)| {
        lookup(kind, &text, of, &key)
    })
}

proptest! {
    #[test]
    fn aliases_have_the_same_name_if_and_only_if_equal(one in lookups(), other in lookups()) {
        let is_equal = one.identifier == other.identifier && one.contact_type == other.contact_type;
        prop_assert_eq!(names().alias(&one) == names().alias(&other), is_equal);
    }

    #[test]
    fn contacts_and_messages_have_one_name_each(ids in any::<[u128; 2]>(), messages in any::<[String; 2]>()) {
        let of = |id: u128| {
            let id = ContactId::parse(&uuid::Uuid::from_u128(id).to_string()).expect("an id");
            names().contact(id)
        };
        prop_assert_eq!(of(ids[0]) == of(ids[1]), ids[0] == ids[1]);
        let [one, other] = messages.each_ref().map(|id| names().message(id));
        prop_assert_eq!(one == other, messages[0] == messages[1]);
        let [one, other] = messages.each_ref().map(|key| budget_name(key));
        prop_assert_eq!(one == other, messages[0] == messages[1]);
    }

    #[test]
    fn names_of_two_epochs_differ(one in lookups(), secrets in any::<[[u8; 32]; 2]>()) {
        prop_assume!(secrets[0] != secrets[1]);
        let [some, others] = secrets.map(|secret| Names::new(&EpochSecret::fixed(secret)));
        prop_assert!(some.alias(&one) != others.alias(&one));
        prop_assert!(some.message("msg_1") != others.message("msg_1"));
    }
}

#[test]
fn spellings_of_one_value_have_one_name() {
    use IdentifierKind::{Any, ContactId, Email, MobilePhone, SocialSecurityNumber};
    let member = Some("Member");
    for (kind, spellings) in [
        (Email, &["Alva@Example.com", "alva@example.com"][..]),
        (
            MobilePhone,
            &["0701740605", "+46 70 174 06 05", "0046701740605"],
        ),
        (
            SocialSecurityNumber,
            &["198507099805", "19850709-9805", "850709-9805"],
        ),
        (Any, &["0701740605", "+46701740605"]),
        (
            ContactId,
            &[
                "6F1D2C3A-4b5e-4f60-8a71-b2c300d41e01",
                "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01",
            ],
        ),
    ] {
        let names: HashSet<AliasName> = spellings
            .iter()
            .flat_map(|text| [alias(kind, text, member), alias(kind, text, Some("MEMBER"))])
            .collect();
        assert_eq!(names.len(), 1, "{kind:?}");
    }
}

#[test]
fn kinds_and_types_of_one_value_have_different_names() {
    use IdentifierKind::{Any, CustomKey, Email, MobilePhone, SocialSecurityNumber};
    let text = "198507099805";
    let types = [None, Some("Member"), Some("Contact")];
    let names: HashSet<AliasName> = [Any, CustomKey, SocialSecurityNumber]
        .into_iter()
        .flat_map(|kind| types.map(|of| alias(kind, text, of)))
        .chain(types.map(|of| alias(Email, "198507099805@example.com", of)))
        .chain(types.map(|of| alias(MobilePhone, "+46701740605", of)))
        .collect();
    assert_eq!(names.len(), 15);
}

#[test]
fn name_of_a_national_id_is_the_same_on_every_replica() {
    let kind = IdentifierKind::SocialSecurityNumber;
    let [one, other] = [b"one", b"two"].map(|key| {
        let lookup = lookup(kind, "198507099805", None, key).expect("a national id");
        names().alias(&lookup)
    });
    assert_eq!(one.0, other.0);
}

/// If it fails: raise `WRAP_FORMAT` in `seal`, and replace the names here. Replicas that make different names must not
/// be in one epoch.
#[test]
fn names_are_those_of_earlier_builds() {
    let id = ContactId::parse("6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01").expect("an id");
    let hex = |name: [u8; 16]| format!("{:032x}", u128::from_be_bytes(name));
    let found = [
        hex(names().contact(id).0),
        hex(alias(IdentifierKind::Email, "alva@example.com", Some("Member")).0),
        hex(alias(IdentifierKind::Any, "198507099805", None).0),
        hex(names().message("msg_2").0),
        hex(budget_name("an API key").0),
    ];
    assert_eq!(
        found,
        [
            "a48e522b8317f67c422d32fcba903715",
            "85f758494b2efd86affe290db3bc7d14",
            "8233b7c7dd05af1ba6a5bc93c414ffb4",
            "ad639d91d8a09a64a925e8273ec71c17",
            "7cbcb7370c6a13f455eb40b874a929b8",
        ]
    );
}

#[test]
fn debug_is_redacted() {
    assert_eq!(format!("{:?}", names()), "Names(…)");
    assert_eq!(format!("{:?}", names().message("msg_2")), "MessageName(…)");
}
