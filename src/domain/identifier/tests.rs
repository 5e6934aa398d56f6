use std::collections::HashSet;

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const TODAY: Date = date(2026, 3, 1);
const RULES: IdentifierRules = IdentifierRules {
    phone_region: country::SE,
    check_digits: true,
    national_id_country: None,
};
const UNCHECKED: IdentifierRules = IdentifierRules {
    check_digits: false,
    ..RULES
};

fn parse(kind: IdentifierKind, text: &str) -> Result<Identifier, IdentifierError> {
    Identifier::parse(kind, text, &RULES, TODAY)
}

#[test]
fn kinds_are_spelled_like_query_parameters() {
    for kind in IdentifierKind::ALL {
        let json = serde_json::to_value(kind).expect("a name");
        assert_eq!(json, kind.as_str());
        let read: Result<IdentifierKind, _> = serde_json::from_value(json);
        assert_eq!(read.ok(), Some(kind));
        assert_eq!(IdentifierKind::from_param(kind.as_str()), Some(kind));
    }
    for name in ["", "Email", "contactid", "contactType", "any "] {
        assert_eq!(IdentifierKind::from_param(name), None, "{name:?}");
    }
}

#[test]
fn values_are_canonical_and_keep_their_kind() {
    use IdentifierKind::{Any, ContactId, CustomKey, Email, MobilePhone, SocialSecurityNumber};
    let guid = "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01";
    for (kind, text, sent) in [
        (ContactId, "6F1D2C3A-4B5E-4F60-8A71-B2C300D41E01", guid),
        (Email, " Alva@Example.com", "alva@example.com"),
        (MobilePhone, "070-174 06 05", "+46701740605"),
        (SocialSecurityNumber, "850709-9805", "198507099805"),
        (SocialSecurityNumber, "131052-308t", "131052-308T"),
        (CustomKey, " SHOP-55501", " SHOP-55501"),
        (Any, "ALVA@example.com", "alva@example.com"),
    ] {
        let identifier = parse(kind, text).expect(text);
        assert_eq!(identifier.expose(), sent);
        assert_eq!(identifier.kind(), kind);
    }
}

#[test]
fn malformed_value_is_refused_with_the_error_of_its_kind() {
    use IdentifierError as Error;
    use IdentifierKind as Kind;
    let ssn = Kind::SocialSecurityNumber;
    let too_long = "9".repeat(255);
    for (kind, text, error) in [
        (Kind::ContactId, "not-a-guid", Error::InvalidContactId),
        (Kind::Email, "plain", Error::InvalidEmailAddress),
        (
            Kind::Email,
            "alva@exämpel.example",
            Error::EmailDomainNotAscii,
        ),
        (Kind::Email, "älva@exämpel.example", Error::EmailNotAscii),
        (Kind::MobilePhone, "phone", Error::InvalidPhoneNumber),
        (ssn, "198507099806", Error::InvalidSocialSecurityNumber),
        (Kind::CustomKey, " ", Error::InvalidSearchQuery),
        (Kind::Any, "", Error::InvalidSearchQuery),
        (Kind::Any, "älva@example.com", Error::EmailNotAscii),
    ] {
        assert_eq!(parse(kind, text), Err(error), "{kind:?} {text:?}");
    }
    for kind in IdentifierKind::ALL {
        assert_eq!(parse(kind, &too_long), Err(kind.error()));
    }
}

#[test]
fn any_is_parsed_in_engages_order() {
    for (text, read_as, sent) in [
        ("+46701740605", "Phone(…)", "+46701740605"),
        ("Alva@example.com", "Email(…)", "alva@example.com"),
        ("198507099805", "NationalId(…)", "198507099805"),
        ("8507099805", "NationalId(…)", "198507099805"),
        ("131052-308t", "NationalId(…)", "131052-308T"),
        ("0701740605", "Phone(…)", "+46701740605"),
        ("070-174 06 05", "Phone(…)", "+46701740605"),
        ("0046701740605", "Phone(…)", "+46701740605"),
        ("0701010004", "Phone(…)", "+46701010004"),
        ("0701 01 00 04", "Phone(…)", "+46701010004"),
        ("tel:08-465 004 04", "Phone(…)", "+46846500404"),
        ("tel:+46701740605", "Phone(…)", "+46701740605"),
        ("850709 9805", "NationalId(…)", "198507099805"),
        ("010672-9346", "NationalId(…)", "010672-9346"),
        ("-46701740605", "CustomKey(…)", "-46701740605"),
        ("198507099806", "CustomKey(…)", "198507099806"),
        ("46701740605", "CustomKey(…)", "46701740605"),
        ("0846500404", "CustomKey(…)", "0846500404"),
        ("+12", "CustomKey(…)", "+12"),
        ("999888777", "CustomKey(…)", "999888777"),
        ("SHOP-55501", "CustomKey(…)", "SHOP-55501"),
        ("a@b", "CustomKey(…)", "a@b"),
        ("Räksmörgås", "CustomKey(…)", "Räksmörgås"),
        (" 12 ", "CustomKey(…)", " 12 "),
    ] {
        let read = AnyIdentifier::parse(text, &RULES, TODAY).expect(text);
        assert_eq!(format!("{read:?}"), read_as, "{text:?}");
        assert_eq!(read.expose(), sent);
        let looks_like = NationalId::looks_like(text, TODAY); // not allowed in URLs
        assert_eq!(looks_like, read_as == "NationalId(…)", "{text:?}");
    }
    let unchecked = AnyIdentifier::parse("198507099806", &UNCHECKED, TODAY);
    assert_eq!(format!("{unchecked:?}"), "Ok(NationalId(…))");
}

#[test]
fn kinds_distinguish_equal_values_and_debug_is_redacted() {
    let by_phone = parse(IdentifierKind::MobilePhone, "+46701740605");
    let by_any = parse(IdentifierKind::Any, "+46701740605");
    assert_ne!(by_phone, by_any);
    assert_eq!(format!("{by_phone:?}"), "Ok(MobilePhone(Phone(…)))");
    assert_eq!(format!("{by_any:?}"), "Ok(Any(Phone(…)))");
}

#[test]
fn spellings_of_one_value_are_one_key() {
    let spellings = ["0701740605", "+46 70 174 06 05", "0046-701740605"];
    let keys = spellings.map(|text| parse(IdentifierKind::Any, text).ok());
    assert_eq!(HashSet::from(keys).len(), 1);
}

proptest! {
    #[test]
    fn sent_value_parses_to_the_same_identifier(
        text in "\\PC{0,30}|[+]?[0-9 -]{6,14}|[a-z]{1,5}@[a-z.]{1,9}",
        other in any::<String>(),
        kind in proptest::sample::select(IdentifierKind::ALL.to_vec()),
    ) {
        for text in [text, other] {
            if let Ok(identifier) = Identifier::parse(kind, &text, &UNCHECKED, TODAY) {
                let again = Identifier::parse(kind, &identifier.expose(), &UNCHECKED, TODAY);
                prop_assert_eq!(again, Ok(identifier.clone()));
            }
        }
    }
}
