use jiff::civil::date;

use super::*;
use crate::domain::{
    Digester, Identifier, IdentifierRules, Lookup,
    aliases::{AliasReader, RawAliases},
};

const KINDS: [IdentifierKind; 4] = [
    IdentifierKind::Email,
    IdentifierKind::MobilePhone,
    IdentifierKind::CustomKey,
    IdentifierKind::SocialSecurityNumber,
];

fn reader() -> AliasReader {
    AliasReader {
        rules: IdentifierRules {
            phone_region: "SE".parse().expect("a country"),
            check_digits: true,
            national_id_country: None,
        },
        custom_key: Some(CustomKeyAttribute::MemberNumber),
        digester: Digester::with_key(b"test"),
    }
}

/// The profile of a member with these fields: e-mail address, phone, national id, member number.
fn profile([email, phone, national_id, member_number]: [&str; 4]) -> Profile {
    let field = |text: &'static str| match text {
        "" => FieldValue::Absent,
        text => FieldValue::One(text.into()),
    };
    let leak = |text: &str| field(String::leak(text.to_owned()));
    let aliases = reader().read(&RawAliases {
        email: leak(email),
        mobile_phone: leak(phone),
        national_id: leak(national_id),
        member_number: leak(member_number),
        external_id: FieldValue::Absent,
    });
    Profile {
        identity: Identity {
            contact_type: FieldValue::One(ContactType::parse("Member").expect("a type")),
            aliases,
        },
        member_number: Some(member_number.into()).filter(|_| !member_number.is_empty()),
        ..Profile::default()
    }
}

fn values(kinds: &[IdentifierKind], profile: &Profile) -> Vec<UniqueValue> {
    let custom_key = Some(CustomKeyAttribute::MemberNumber);
    UniqueKinds::new(kinds.iter().copied(), custom_key).values(profile)
}

fn lookup(kind: IdentifierKind, text: &str, contact_type: &str) -> Lookup {
    let AliasReader {
        rules, digester, ..
    } = reader();
    let identifier = Identifier::parse(kind, text, &rules, date(2026, 11, 23));
    let contact_type = ContactType::parse(contact_type);
    Lookup::new(identifier.expect(text), contact_type, &digester)
}

#[test]
fn keys_are_those_of_lookups() {
    let alva = profile([
        "Alva.Testsson@Example.com",
        "+46 (0)70-174 06 05",
        "198507099805",
        "Köp-100001 ",
    ]);
    for (kind, text) in [
        (IdentifierKind::Email, "alva.testsson@example.COM"),
        (IdentifierKind::MobilePhone, "0701740605"),
        (IdentifierKind::SocialSecurityNumber, "850709-9805"),
        (IdentifierKind::CustomKey, "Köp-100001 "),
    ] {
        let values = values(&[kind], &alva);
        let [value] = &values[..] else {
            panic!("{kind:?}: {values:?}");
        };
        assert_eq!(value.key(), lookup(kind, text, "mEMBER").key(), "{kind:?}");
        assert_ne!(value.key(), lookup(kind, text, "Contact").key(), "{kind:?}");
        assert!(value.is_shown_by(&alva.identity), "{kind:?}");
        assert!(!value.is_shown_by(&Identity::default()), "{kind:?}");
    }
    assert_eq!(values(&KINDS, &alva).len(), 4);
    let other_spelling = lookup(IdentifierKind::CustomKey, "köp-100001", "Member");
    let [value] = &values(&[IdentifierKind::CustomKey], &alva)[..] else {
        panic!("one key");
    };
    assert_ne!(value.key(), other_spelling.key());
}

#[test]
fn ambiguous_unreadable_and_absent_fields_have_no_value() {
    for fields in [
        [""; 4],
        ["alva", "x", "x", "\u{fffd}"],
        [
            "a@example.com;b@example.com",
            "0701740605",
            "8507099805",
            "",
        ],
        ["", "+46701740605 / +46701740606", "", "\n"],
    ] {
        assert_eq!(values(&KINDS, &profile(fields)).len(), 0, "{fields:?}");
    }
    for kind in [IdentifierKind::ContactId, IdentifierKind::Any] {
        let alva = profile(["a@example.com", "", "", ""]);
        assert_eq!(values(&[kind], &alva).len(), 0);
    }
}

#[test]
fn contact_type_must_be_readable_in_one_way() {
    let types = ["Member", "Contact"].map(|of| ContactType::parse(of).expect("a type"));
    for contact_type in [
        FieldValue::Absent,
        FieldValue::Unreadable,
        FieldValue::Several(types.into()),
    ] {
        let mut alva = profile(["a@example.com", "", "", ""]);
        alva.identity.contact_type = contact_type;
        assert_eq!(values(&KINDS, &alva).len(), 0);
    }
}

#[test]
fn another_profile_shows_a_value_in_any_of_its_readings() {
    let fields = ["a@example.com", "+46701740605", "198507099805", "A1"];
    let values = values(&KINDS, &profile(fields));
    let several = [
        "b@example.com, a@example.com",
        "0701740605",
        "8507099805",
        " a1",
    ];
    let other = profile(several);
    assert!(
        values
            .iter()
            .all(|value| value.is_shown_by(&other.identity))
    );
    let of_another_type = Identity {
        contact_type: FieldValue::One(ContactType::parse("Contact").expect("a type")),
        ..other.identity
    };
    assert!(
        !values
            .iter()
            .any(|value| value.is_shown_by(&of_another_type))
    );
}

#[test]
fn external_id_is_taken_as_written() {
    let kinds = UniqueKinds::new(
        [IdentifierKind::CustomKey],
        Some(CustomKeyAttribute::ExternalId),
    );
    for (json, text) in [
        (r#""SHOP-1""#, Some("SHOP-1")),
        (r#""K\u00f6p""#, Some("Köp")),
        ("55501", Some("55501")),
        ("true", None),
        ("null", None),
        (r#"["a"]"#, None),
        (r#""  ""#, None),
    ] {
        let mut alva = profile([""; 4]);
        let value = serde_json::value::RawValue::from_string(json.to_owned()).expect("JSON");
        alva.attributes.push(("externalId".into(), value));
        let folded = text.map(|text| text.to_lowercase().into());
        alva.identity.aliases.custom_keys[1] =
            folded.map_or(FieldValue::Unreadable, FieldValue::One);
        let keys: Vec<_> = kinds
            .values(&alva)
            .into_iter()
            .map(|value| value.key)
            .collect();
        let expected = text.map(|text| lookup(IdentifierKind::CustomKey, text, "Member"));
        let expected: Vec<_> = expected.iter().map(Lookup::key).cloned().collect();
        assert_eq!(keys, expected, "{json}");
    }
}
