//! Identifiers: the first byte selects the kind and the rules, the rest is the value.

#![no_main]

use engage_bff::domain::{
    ContactId, ContactType, Digester, Identifier, IdentifierKind, IdentifierRules, Lookup,
    identifier::AnyIdentifier,
};
use jiff::civil::{Date, date};
use libfuzzer_sys::fuzz_target;
use phonenumber::country;

const TODAY: Date = date(2026, 11, 23);

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    let index = usize::from(*first);
    let kind = IdentifierKind::ALL[index % IdentifierKind::ALL.len()];
    let rules = IdentifierRules {
        phone_region: [country::SE, country::FI, country::US][index / 8 % 3],
        check_digits: index < 128,
        national_id_country: None,
    };
    contact_type(text);
    match Identifier::parse(kind, text, &rules, TODAY) {
        Ok(identifier) => canonical(&identifier, &rules),
        // Its text is fixed, and its type has no room for the value.
        Err(error) => assert!(error.to_string().is_ascii()),
    }
});

/// The canonical value parses to the same identifier, has the same cache key, and is not shown by `Debug`.
fn canonical(identifier: &Identifier, rules: &IdentifierRules) {
    let sent = identifier.expose();
    let again = Identifier::parse(identifier.kind(), &sent, rules, TODAY);
    assert_eq!(again.as_ref(), Ok(identifier));
    assert!(!sent.trim().is_empty() && !sent.contains(char::is_control));
    match identifier {
        Identifier::ContactId(id) => assert_eq!(ContactId::parse(&sent), Some(*id)),
        Identifier::Email(_) | Identifier::Any(AnyIdentifier::Email(_)) => {
            assert!(sent.is_ascii() && sent.contains('@'));
            assert_eq!(sent, sent.to_ascii_lowercase());
        }
        Identifier::MobilePhone(_) | Identifier::Any(AnyIdentifier::Phone(_)) => {
            let digits = sent.strip_prefix('+').expect("international");
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
            assert!((8..=15).contains(&digits.len()));
        }
        Identifier::SocialSecurityNumber(_) | Identifier::Any(AnyIdentifier::NationalId(_)) => {
            assert!(matches!(sent.len(), 11 | 12) && sent.is_ascii());
        }
        Identifier::CustomKey(_) | Identifier::Any(AnyIdentifier::CustomKey(_)) => {}
    }
    let digester = Digester::with_key(b"a key of fuzz targets");
    let lookup = Lookup::new(identifier.clone(), None, &digester);
    let other = Lookup::new(again.expect("it was read"), None, &digester);
    assert_eq!(lookup.key(), other.key());
    let shown = format!("{lookup:?}");
    // A shorter value may occur in it by chance.
    assert!(sent.len() < 8 || is_fixed_text(&sent) || !shown.contains(&*sent));
}

/// Whether the value occurs in the fixed text of `Debug`, or might, because it has no digit.
fn is_fixed_text(value: &str) -> bool {
    let shown = "Lookup { identifier: ContactId(ContactId(…)) Email(Email(…)) MobilePhone(Phone(…)) \
                 SocialSecurityNumber(NationalId(…)) CustomKey(CustomKey(…)) Any(CustomKey(…)), \
                 contact_type: None, key: LookupKey { kind: CustomKey, contact_type: None, value: … } }";
    shown.contains(value) || value.bytes().all(|byte| !byte.is_ascii_digit())
}

/// Case is ignored in comparisons, and the spelling kept.
fn contact_type(text: &str) {
    if let Some(read) = ContactType::parse(text) {
        assert_eq!(read.as_str(), text);
        assert_eq!(ContactType::parse(read.folded()), Some(read));
    }
}
