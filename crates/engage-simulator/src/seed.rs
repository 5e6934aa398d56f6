//! Generated contacts: the same seed, time and number give the same contacts.

mod identity;
mod rewards;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{clock::TimeFormat, contact::Contact, json::Json};

pub(crate) use rewards::{AUDIENCES, POINT_DEFINITIONS};

const FIRST_NAMES: [&str; 12] = [
    "Ada", "Björn", "Cilla", "David", "Elin", "Filip", "Greta", "Hugo", "Ines", "Jonas", "Karin",
    "Åke",
];
const LAST_NAMES: [&str; 10] = [
    "Exempel", "Påhitt", "Provsson", "Fiktiv", "Testberg", "Mallgren", "Övning", "Skissman",
    "Utkast", "Modell",
];
const CITIES: [&str; 4] = ["Exempelstad", "Provköping", "Testås", "Mallby"];
const SPORTS: [&str; 6] = ["running", "yoga", "padel", "golf", "skiing", "swimming"];

/// Generates `count` contacts.
pub(crate) fn contacts(rng: &mut Rng, now: Timestamp, count: usize) -> Vec<Contact> {
    (0..count).map(|index| contact(rng, now, index)).collect()
}

/// A GUID from the seeded generator.
pub(crate) fn guid(rng: &mut Rng) -> String {
    uuid::Builder::from_random_bytes(rng.u128(..).to_be_bytes())
        .into_uuid()
        .to_string()
}

/// A time within `days`, in one of Engage's formats.
fn date(rng: &mut Rng, now: Timestamp, days: std::ops::Range<i64>) -> String {
    let away = SignedDuration::from_hours(24 * rng.i64(days))
        + SignedDuration::from_secs(rng.i64(0..86_400));
    let nanos = SignedDuration::from_nanos(rng.i64(0..1_000_000_000));
    let format = pick(rng, &TimeFormat::ALL);
    format.write(now + away + nanos)
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

/// `true` with a probability of 1 in `n`.
fn once_in(rng: &mut Rng, n: u32) -> bool {
    rng.u32(..n) == 0
}

fn contact(rng: &mut Rng, now: Timestamp, index: usize) -> Contact {
    let id = guid(rng);
    let contact_type = if once_in(rng, 5) { "Contact" } else { "Member" };
    let is_minimal = once_in(rng, 12);
    let attributes = if is_minimal {
        minimal_attributes(index)
    } else {
        attributes(rng, now, index)
    };
    let mut contact = Contact {
        id,
        attributes: attributes.into(),
        meta: meta(rng, now, contact_type).into(),
        preferences: json!({
            "acceptsEmail": rng.bool(), "acceptsPostal": rng.bool(), "acceptsSms": rng.bool(),
        })
        .into(),
        consents: Json::Array(Vec::new()),
        warnings: warnings(rng),
        audiences: Json::Array(Vec::new()),
        vouchers: Vec::new(),
        promotions: Vec::new(),
        accounts: Vec::new(),
        transactions: Vec::new(),
        purchases: Json::Null,
        extra: extra(rng),
        also_found_by: Vec::new(),
    };
    if !is_minimal {
        contact.consents = consents(rng, now);
        contact.audiences = rewards::audiences(rng);
        contact.vouchers = rewards::vouchers(rng, now);
        contact.promotions = rewards::promotions(rng, now);
        contact.accounts = rewards::accounts(rng, now, index);
        contact.transactions = rewards::transactions(&contact.accounts, now, index);
    }
    contact
}

fn minimal_attributes(index: usize) -> Value {
    json!({
        "email": format!("guest.{index}@example.com"), "firstName": null, "lastName": null,
        "mobilePhone": null, "countryCode": null, "currentStore": null,
    })
}

fn attributes(rng: &mut Rng, now: Timestamp, index: usize) -> Value {
    let (first, last) = (pick(rng, &FIRST_NAMES), pick(rng, &LAST_NAMES));
    let identity = identity::invent(rng, index);
    let levels = [Value::Null, json!("Bronze"), json!("Silver"), json!("Gold")];
    let level = levels[rng.usize(..levels.len())].clone();
    let sports: Vec<&str> = SPORTS.into_iter().filter(|_| once_in(rng, 3)).collect();
    json!({
        "firstName": first,
        "lastName": last,
        "street": format!("Provgatan {}", rng.u32(1..200)),
        "careOf": null,
        "zipCode": format!("{:03} {:02}", rng.u32(100..999), rng.u32(10..99)),
        "city": pick(rng, &CITIES),
        "countryCode": identity.country_code,
        "country": identity.country,
        "email": email(rng, index),
        "mobilePhone": identity::phone(index),
        "socialSecurityNumber": identity.national_id,
        "birthDay": identity.birth_day,
        "annualBirthDay": null,
        "age": rng.u32(18..90),
        "gender": pick(rng, &["Male", "Female", "Other"]),
        "memberNumber": (200_000 + index).to_string(),
        "externalId": (!once_in(rng, 8)).then(|| format!("SHOP-{}", 600_000 + index)),
        "language": pick(rng, &[Some("sv"), Some("fi"), None]),
        "lang": null,
        "discoveryKey": guid(rng),
        "rfm": rng.u32(1..=100),
        "isRegistrationCompleted": true,
        "registrationDate": date(rng, now, -1500..-30),
        "secrecyMarked": once_in(rng, 40),
        "lastOrderDate": date(rng, now, -300..-1),
        "currentStore": store(rng),
        "bonusBasedLevel": level,
        "bonusBasedLevelChanged": date(rng, now, -300..-1),
        "bonusBasedLevelExpires": date(rng, now, 10..300),
        "bonusBasedLevelLeftForUpgrade": f64::from(rng.u32(0..4000)) / 2.0,
        "memberLevelsBonusPoints": f64::from(rng.u32(0..9000)) / 2.0,
        "shoeSize": rng.u32(35..47),
        "favouriteSports": sports,
        "newsletterFashion": rng.bool(),
    })
}

/// Unique by its number; sometimes with capital letters, because Engage keeps addresses as entered.
fn email(rng: &mut Rng, index: usize) -> String {
    if once_in(rng, 20) {
        format!("Customer.{index}@Example.com")
    } else {
        format!("customer.{index}@example.com")
    }
}

fn store(rng: &mut Rng) -> Value {
    let number = rng.u32(0..3);
    json!({
        "id": format!("11c0a1b2-7d3e-4a5f-9b60-b1aa0000020{number}"),
        "name": pick(rng, &["City", "Outlet", "Webshop"]),
        "externalId": (2000 + number).to_string(),
    })
}

fn meta(rng: &mut Rng, now: Timestamp, contact_type: &str) -> Value {
    json!({
        "createdOn": date(rng, now, -1500..-300),
        "modifiedOn": date(rng, now, -300..-1),
        "sourceType": pick(rng, &["ECOM", "POS", "API"]),
        "approved": !once_in(rng, 30),
        "contactType": contact_type,
        "recruitedByStore": rng.bool().then(|| store(rng)),
    })
}

fn consents(rng: &mut Rng, now: Timestamp) -> Json {
    let mut consents = Vec::new();
    for id in ["memberTerms", "profiling"] {
        if rng.bool() {
            consents.push(json!({
                "id": id, "value": rng.bool(), "date": date(rng, now, -900..-1),
                "comment": null, "source": pick(rng, &["ecom", "POS"]),
            }));
        }
    }
    consents.into()
}

fn warnings(rng: &mut Rng) -> Json {
    let warned = once_in(rng, 25);
    let bounced = json!({"id": "invalidEmail", "message": "The e-mail address has bounced"});
    if warned { vec![bounced] } else { Vec::new() }.into()
}

/// Unknown fields for a few contacts, because Engage may add fields without notice.
fn extra(rng: &mut Rng) -> Vec<(String, Json)> {
    if once_in(rng, 6) {
        let added = json!({"ignore": "me", "score": 0.5, "list": [null, true]});
        vec![("someFieldAddedLater".to_owned(), added.into())]
    } else {
        Vec::new()
    }
}
