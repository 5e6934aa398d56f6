//! The parts of a contact, with every field filled in.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use phonenumber::country;
use serde_json::value::RawValue;

use crate::{
    cache::{
        fence::Sequence,
        freshness::{FetchSource, Provenance},
        parts::{Entry, Parts},
    },
    clock::Tick,
    domain::{
        Address, Aliases, Audience, Audiences, Channel, Consent, ContactId, ContactType, Decimal,
        Digester, FieldValue, HomeStore, Identity, Money, Offer, OfferKind, OfferValue,
        PointAccount, Points, Preferences, Profile, Promotion, Voucher, Warning,
        customer::Level,
        email::Email,
        lookup::national_id_digest,
        phone::{Phone, PhoneReading},
    },
};

/// When the request for what is stored began, by the clock of the replica that stores it.
pub(super) fn requested_at() -> Tick {
    Tick::from_nanos(3_000_000_000_000)
}

pub(super) fn digester() -> Digester {
    Digester::with_key(b"the key of every replica")
}

pub(super) fn id(number: u32) -> ContactId {
    ContactId::parse(&format!("6f1d2c3a-4b5e-4f60-8a71-b2c3{number:08x}")).expect("an id")
}

#[expect(clippy::unnecessary_wraps, reason = "most fields are optional")]
fn text(text: &str) -> Option<Box<str>> {
    Some(text.into())
}

#[expect(clippy::unnecessary_wraps, reason = "most fields are optional")]
fn time(seconds: i64, nanoseconds: i32) -> Option<Timestamp> {
    Some(Timestamp::new(seconds, nanoseconds).expect("a time"))
}

fn money(amount: Decimal, currency: &str) -> Money {
    Money {
        amount,
        currency: currency.into(),
    }
}

pub(super) fn entry<T>(
    data: T,
    source: FetchSource,
    differed_before: Option<Duration>,
) -> Entry<T> {
    Entry {
        data: Arc::new(data),
        provenance: Provenance {
            sequence: Sequence::default(),
            requested_at: requested_at(),
            as_of: Timestamp::MIN,
            lifetime: Duration::ZERO,
            source,
            differed_at: differed_before.map(|before| requested_at() - before),
            is_shared: false,
        },
        incomplete: differed_before.is_some(),
    }
}

/// Parts that have every field, and every variant at least once.
pub(super) fn complete() -> Parts {
    let before = Some(Duration::from_millis(61_234));
    Parts {
        profile: Some(entry(profile(), FetchSource::Entity, before)),
        audiences: Some(entry(audiences(), FetchSource::Overview, None)),
        promotions: Some(entry(vec![promotion()], FetchSource::Overview, before)),
        vouchers: Some(entry(vec![voucher()], FetchSource::Entity, before)),
        points: Some(entry(points(), FetchSource::Entity, None)),
    }
}

fn aliases() -> Aliases {
    let phone = Phone::parse("+46701740605", country::SE).expect("a phone");
    let digest = |id| national_id_digest(&digester(), id);
    Aliases {
        email: FieldValue::One(Email::parse("alva.testsson@example.com").expect("an e-mail")),
        phone: FieldValue::Several(
            [
                PhoneReading::International(phone),
                PhoneReading::National("701740605".into()),
            ]
            .into(),
        ),
        national_id: FieldValue::Several([digest("198507099805"), digest("851231-9802")].into()),
        custom_keys: [FieldValue::Unreadable, FieldValue::Absent],
    }
}

pub(super) fn profile() -> Profile {
    let json = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
    Profile {
        identity: Identity {
            contact_type: FieldValue::One(ContactType::parse("Member").expect("a type")),
            aliases: aliases(),
        },
        first_name: text("Alva"),
        last_name: text("Testsson"),
        email: text("Alva.Testsson@example.com"),
        mobile_phone: text("+46701740605"),
        address: Address {
            street: text("Provgatan 12"),
            care_of: text("Exempel"),
            zip_code: text("123 45"),
            city: text("Exempelstad"),
            country_code: text("SE"),
        },
        birth_day: text("1985-07-09"),
        language: text("sv"),
        member_number: text("100001"),
        level: Some(Level {
            name: "Gold".into(),
            expires_on: time(1_804_492_799, 0),
            points: Some(Decimal::new(37_495, 1)),
            points_to_next: Some(Decimal::new(12_505, 1)),
        }),
        home_store: Some(HomeStore {
            id: text("11c0a1b2-7d3e-4a5f-9b60-b1aa00000101"),
            name: text("Exempelstad City"),
            external_id: text("1001"),
        }),
        member_since: time(1_713_257_794, 318_452_400),
        secrecy_marked: true,
        attributes: vec![
            ("favouriteSports".into(), json(r#"["running", "yoga"]"#)),
            ("shoeSize".into(), json("39.50")),
        ],
        preferences: Preferences {
            accepts_email: Some(true),
            accepts_sms: Some(false),
            accepts_postal: None,
        },
        consents: Some(vec![Consent {
            id: "memberTerms".into(),
            given: Some(true),
            date: time(1_737_622_594, 0),
        }]),
    }
}

fn audiences() -> Audiences {
    Audiences {
        audiences: vec![Audience {
            id: "a11d0000-0000-4000-8000-ffff006a0001".into(),
            name: text("Svenska medlemmar"),
        }],
        warnings: vec![Warning {
            id: text("bouncing"),
            message: text("The address bounces"),
        }],
    }
}

pub(super) fn promotion() -> Promotion {
    let local_value = || money(Decimal::new(1485, 1), "NOK");
    let kinds = [
        (
            Some(Channel::Ecom),
            OfferKind::External,
            OfferValue::Text("SUMMER".into()),
        ),
        (
            Some(Channel::Pos),
            OfferKind::Percent,
            OfferValue::Number(Decimal::new(150, 1)),
        ),
        (Some(Channel::Other), OfferKind::Manual, OfferValue::None),
        (
            None,
            OfferKind::Money,
            OfferValue::Money(money(Decimal::new(15_000, 2), "SEK")),
        ),
        (None, OfferKind::Other, OfferValue::None),
    ];
    Promotion {
        id: "7c20b000-1001-4b11-9001-b2d100c00001".into(),
        promotion_id: text("5a1e0f10-0001-4a00-9000-b2d000a00001"),
        external_id: text("SO-90001"),
        promotion_type: text("Multichannel"),
        name: text("Jackets in November"),
        heading: text("15 % on any jacket"),
        description: text("Once, not on sale items."),
        image_url: text("https://images.example.com/1.png"),
        link: text("https://shop.example.com/jackets"),
        expires_on: time(1_799_308_594, 0),
        redeemed: true,
        offers: kinds
            .into_iter()
            .map(|(channel, kind, value)| Offer {
                channel,
                kind,
                value,
                local_values: vec![local_value()],
                instruction: text("Show it at the till"),
            })
            .collect(),
    }
}

pub(super) fn voucher() -> Voucher {
    Voucher {
        id: "8d31c000-2001-4c22-b002-b2d200c00001".into(),
        code: text("2511000000017"),
        name: text("Bonus"),
        value: Some(money(Decimal::new(15_000, 2), "SEK")),
        local_values: vec![money(Decimal::new(132, 1), "EUR")],
        expires_on: time(1_799_308_594, 318_000_000),
        redeemed: true,
    }
}

fn points() -> Points {
    Points {
        accounts: vec![PointAccount {
            definition_id: text("1"),
            name: text("Bonus"),
            balance: Decimal::new(37_495, 1),
            pending: Some(Decimal::new(40, 0)),
            expires_on: time(1_801_436_399, 999_000_000),
        }],
    }
}
