//! Parsers of Engage's responses: the first byte selects the endpoint and the API version, the rest is the body.

#![no_main]

use std::sync::LazyLock;

use engage_bff::{
    domain::{
        ContactId, ContactType, Digester, IdentifierRules, Profile,
        aliases::AliasReader,
        email::Email,
        phone::{Phone, PhoneReading},
    },
    engage::{Error, Reader},
};
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use phonenumber::country;
use serde_json::Value;

const ALVA: &str = "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01";

static READERS: LazyLock<[Reader; 2]> = LazyLock::new(|| [reader(false), reader(true)]);

fn reader(is_v2: bool) -> Reader {
    Reader {
        alias_reader: AliasReader {
            rules: IdentifierRules {
                phone_region: country::SE,
                check_digits: true,
                national_id_country: None,
            },
            custom_key: None,
            digester: Digester::with_key(b"a key of fuzz targets"),
        },
        time_zone: TimeZone::UTC,
        keeps_national_id: false,
        points_in_overview: is_v2,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else {
        return;
    };
    let reader = &READERS[usize::from(first / 8 % 2)];
    // The corpus selects the first six by smaller bytes.
    let endpoint = if *first < 240 {
        first % 6
    } else {
        6 + first % 3
    };
    match endpoint {
        0 => {
            if let Some(overview) = read(reader.overview(body)) {
                assert_in_body(overview.id, body);
                profile(&overview.profile.data);
                assert!(reader.points_in_overview || overview.points.is_none());
            }
        }
        1 => {
            if let Some((id, contact)) = read(reader.contact(body)) {
                assert_in_body(id, body);
                profile(&contact.data);
            }
        }
        2 => {
            if let Some(page) = read(reader.vouchers(body)) {
                let (items, left_out) = (&page.items.data, &page.items.left_out);
                assert_eq!(items.len() + left_out.len(), page.count);
                assert!(items.iter().all(|voucher| !voucher.id.is_empty()));
            }
        }
        3 => {
            let alva = ContactId::parse(ALVA).expect("a contact id");
            match reader.points(alva, body) {
                // An account belongs to another contact.
                Err(Error::IdentityMismatch) => {}
                points => {
                    if let Some(page) = read(points) {
                        let (points, left_out) = (&page.items.data, &page.items.left_out);
                        assert_eq!(points.accounts.len() + left_out.len(), page.count);
                    }
                }
            }
        }
        4 => {
            if let Some(promotions) = read(reader.promotions(body)) {
                assert!(
                    promotions
                        .data
                        .iter()
                        .all(|promotion| !promotion.id.is_empty())
                );
            }
        }
        6 => {
            let alva = ContactId::parse(ALVA).expect("a contact id");
            if let Some(page) = of_alva(reader.point_transactions(alva, None, body)) {
                let (items, left_out) = (&page.items.data, &page.items.left_out);
                assert_eq!(items.len() + left_out.len(), page.count);
                assert!(items.iter().all(|transaction| !transaction.id.is_empty()));
            }
        }
        7 => {
            let alva = ContactId::parse(ALVA).expect("a contact id");
            if let Some(page) = of_alva(reader.redeemed_vouchers(alva, body)) {
                let (items, left_out) = (&page.items.data, &page.items.left_out);
                assert_eq!(items.len() + left_out.len(), page.count);
                assert!(items.iter().all(|redeemed| !redeemed.voucher.id.is_empty()));
            }
        }
        8 => {
            let alva = ContactId::parse(ALVA).expect("a contact id");
            if let Some(purchases) = of_alva(reader.purchases(alva, body)) {
                assert!(purchases.left_out.len() <= 14);
            }
        }
        _ => {
            if let Some(id) = read(Reader::contact_id(body)) {
                let text: String = serde_json::from_slice(body).expect("a text");
                assert_eq!(id.to_string(), text.to_ascii_lowercase());
            }
        }
    }
});

/// Like [`read`], but `None` also for data of another contact.
fn of_alva<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Err(Error::IdentityMismatch) => None,
        result => read(result),
    }
}

/// An error has a path of documented keys; parsing has no other errors.
fn read<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(parsed) => Some(parsed),
        Err(Error::Invalid { path }) => {
            let path = path.replace("[]", "");
            let mut keys = path.split('.');
            assert!(keys.all(|key| KEYS.contains(&key)), "{path:?}");
            None
        }
        Err(other) => panic!("{other:?}"),
    }
}

const KEYS: [&str; 16] = [
    "$",
    "transactions",
    "redeemed",
    "id",
    "items",
    "attributes",
    "bonusPoints",
    "consents",
    "audiences",
    "promotions",
    "redemptionChannels",
    "value",
    "localValues",
    "vouchers",
    "accounts",
    "balance",
];

/// The id is a GUID and occurs in the body.
fn assert_in_body(id: ContactId, body: &[u8]) {
    assert_eq!(ContactId::parse(&id.to_string()), Some(id));
    let text = std::str::from_utf8(body).expect("JSON");
    // Its digits may be escaped.
    assert!(text.to_ascii_lowercase().contains(&id.to_string()) || text.contains("\\u"));
}

/// Aliases are canonical, and attributes contain nothing that is never passed on.
fn profile(profile: &Profile) {
    let aliases = &profile.identity.aliases;
    for email in aliases.email.readings() {
        assert_eq!(Email::parse(email.as_str()).as_ref(), Ok(email));
    }
    for phone in aliases.phone.readings() {
        match phone {
            PhoneReading::International(phone) => assert_eq!(
                Phone::parse(phone.as_str(), country::SE).as_ref(),
                Some(phone)
            ),
            PhoneReading::National(digits) => {
                assert!(digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit()));
            }
        }
    }
    for contact_type in profile.identity.contact_type.readings() {
        assert!(ContactType::parse(contact_type.as_str()).is_some());
    }
    let mut keys: Vec<&str> = profile.attributes.iter().map(|(key, _)| &**key).collect();
    for key in &keys {
        assert!(!key.eq_ignore_ascii_case("discoveryKey"));
        assert!(!key.eq_ignore_ascii_case("socialSecurityNumber"));
    }
    keys.sort_unstable();
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]));
    for (_, value) in &profile.attributes {
        // Lone surrogates are replaced before parsing, but not here.
        if let Err(error) = serde_json::from_str::<Value>(value.get()) {
            let error = error.to_string();
            assert!(error.contains("surrogate"), "{error}");
        }
    }
    assert_eq!(format!("{profile:?}"), "Profile(…)");
}
