//! Any number of invented contacts, each generated from its number alone, with overviews of realistic sizes: from half
//! a kilobyte to about six, usually four. What a tenant writes once is the same for many contacts (campaigns,
//! audiences, stores, names of vouchers); what belongs to one contact is unique.

use std::fmt::Write as _;

use fastrand::Rng;

const FIRST_NAMES: [&str; 16] = [
    "Ada", "Björn", "Cilla", "David", "Elin", "Filip", "Greta", "Hugo", "Ines", "Jonas", "Karin",
    "Lars", "Moa", "Nils", "Olga", "Åke",
];
const LAST_NAMES: [&str; 10] = [
    "Exempel", "Påhitt", "Provsson", "Fiktiv", "Testberg", "Mallgren", "Övning", "Skissman",
    "Utkast", "Modell",
];
const SPORTS: [&str; 6] = ["running", "yoga", "padel", "golf", "skiing", "swimming"];
const VOUCHERS: [&str; 3] = [
    "Bonusutbetalning 2026-10-01",
    "Födelsedagscheck",
    "Bonus check",
];
const LEVELS: [&str; 4] = ["null", "\"Bronze\"", "\"Silver\"", "\"Gold\""];

/// Writes one item of a list.
type Write = fn(&mut String, &mut Rng, u32);

/// The contact's e-mail address.
pub(crate) fn email(number: usize) -> String {
    format!("customer.{number:07}@example.com")
}

/// The contact's mobile phone.
pub(crate) fn phone(number: usize) -> String {
    format!("+4670{number:07}")
}

/// The contact's member number.
pub(crate) fn member_number(number: usize) -> String {
    format!("2{number:07}")
}

/// The contact's id.
pub(crate) fn contact_id(number: usize) -> String {
    format!("{number:08x}-4b5e-4f60-8a71-b2c300d41e01")
}

/// The number of the contact with this identifier, of any kind.
pub(crate) fn number_of(identifier: &str) -> Option<usize> {
    if let Some(hex) = identifier.strip_suffix("-4b5e-4f60-8a71-b2c300d41e01") {
        return usize::from_str_radix(hex, 16).ok();
    }
    let text = identifier
        .strip_prefix("customer.")
        .and_then(|rest| rest.split(['@', '%']).next())
        .or_else(|| identifier.strip_prefix('2'))
        .or_else(|| identifier.split_once("4670").map(|(_, digits)| digits));
    text?.parse().ok()
}

/// The contact's overview, as v3 writes it.
pub(crate) fn overview(number: usize) -> String {
    let mut rng = Rng::with_seed(number as u64);
    let mut text = String::with_capacity(6144);
    let is_minimal = rng.u32(..12) == 0;
    attributes(&mut text, &mut rng, number, is_minimal);
    text.push_str(r#","warnings":[]"#);
    let lists: [(&str, u32, Write); 3] = [
        ("audiences", 4, audience),
        ("rewardVouchers", 4, voucher),
        ("promotions", 6, promotion),
    ];
    for (name, most, write) in lists {
        let count = if is_minimal { 0 } else { rng.u32(0..=most) };
        let _ = write!(text, ",\"{name}\":[");
        for item in 0..count {
            if item > 0 {
                text.push(',');
            }
            write(&mut text, &mut rng, item);
        }
        text.push(']');
    }
    text.push('}');
    text
}

/// The contact's point accounts, as v3 writes them.
pub(crate) fn points(number: usize) -> String {
    let id = contact_id(number);
    let balance = number % 9000;
    format!(
        r#"[{{"id":"9e42d000-3001-4d33-8003-{number:012x}","contactId":"{id}","definitionId":1,"balance":{balance}.5,"balanceExpires":"2037-01-31T23:59:59.999+01:00","pendingPoints":40,"links":[]}}]"#
    )
}

fn guid(rng: &mut Rng) -> String {
    let (first, last) = (rng.u32(..), rng.u64(..1 << 48));
    let (a, b, c) = (rng.u16(..), rng.u16(..4096), rng.u16(..4096));
    format!("{first:08x}-{a:04x}-4{b:03x}-a{c:03x}-{last:012x}")
}

fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

fn date(rng: &mut Rng, years: std::ops::Range<u32>) -> String {
    let (year, month, day) = (rng.u32(years), rng.u32(1..=12), rng.u32(1..=28));
    let (hour, minute, second) = (rng.u32(..24), rng.u32(..60), rng.u32(..60));
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+01:00")
}

fn store(rng: &mut Rng) -> String {
    let number = rng.u32(..30);
    format!(
        r#"{{"id":"11c0a1b2-7d3e-4a5f-9b60-b1aa00000{number:03}","name":"Exempelstad {number}","externalId":"10{number:02}"}}"#
    )
}

fn attributes(text: &mut String, rng: &mut Rng, number: usize, is_minimal: bool) {
    let (id, email, phone, member) = (
        contact_id(number),
        email(number),
        phone(number),
        member_number(number),
    );
    let names = format!(
        r#"{{"id":"{id}","attributes":{{"email":"{email}","mobilePhone":"{phone}","memberNumber":"{member}""#
    );
    text.push_str(&names);
    if !is_minimal {
        let (first, last) = (one(rng, &FIRST_NAMES), one(rng, &LAST_NAMES));
        let (street, zip, city) = (rng.u32(1..300), rng.u32(10_000..99_999), rng.u32(..200));
        let (age, rfm, size) = (rng.u32(18..90), rng.u32(1..=100), rng.u32(35..47));
        let sport = one(rng, &SPORTS);
        let level = one(rng, &LEVELS);
        let _ = write!(
            text,
            r#","firstName":"{first}","lastName":"{last}{number}","street":"Provgatan {street}","careOf":null,"zipCode":"{zip}","city":"Testort {city}","countryCode":"SE","country":"Sverige","birthDay":"19{}-{:02}-{:02}","annualBirthDay":null,"age":{age},"gender":"Female","externalId":"SHOP-{number}","language":"sv","lang":null,"discoveryKey":"{}","rfm":{rfm},"isRegistrationCompleted":true,"registrationDate":"{}","secrecyMarked":false,"lastOrderDate":"{}","currentStore":{},"bonusBasedLevel":{level},"bonusBasedLevelChanged":"{}","bonusBasedLevelExpires":"{}","bonusBasedLevelLeftForUpgrade":{}.5,"memberLevelsBonusPoints":{}.5,"shoeSize":{size},"favouriteSports":["{sport}","reading"],"newsletterFashion":{}"#,
            rng.u32(40..99),
            rng.u32(1..=12),
            rng.u32(1..=28),
            guid(rng),
            date(rng, 2018..2026),
            date(rng, 2024..2026),
            store(rng),
            date(rng, 2024..2026),
            date(rng, 2037..2039),
            rng.u32(..4000),
            rng.u32(..9000),
            rng.bool(),
        );
    }
    let _ = write!(
        text,
        r#"}},"meta":{{"createdOn":"{}","modifiedOn":"{}","sourceType":"ECOM","approved":true,"contactType":"Member","recruitedByStore":null}},"preferences":{{"acceptsEmail":{},"acceptsPostal":{},"acceptsSms":{}}},"consents":["#,
        date(rng, 2018..2026),
        date(rng, 2024..2026),
        rng.bool(),
        rng.bool(),
        rng.bool(),
    );
    if !is_minimal {
        let _ = write!(
            text,
            r#"{{"id":"memberTerms","value":true,"date":"{}","comment":"Signed up online","source":"ecom"}},{{"id":"profiling","value":false,"date":"{}","comment":null,"source":"POS"}}"#,
            date(rng, 2018..2026),
            date(rng, 2024..2026),
        );
    }
    text.push(']');
}

fn audience(text: &mut String, rng: &mut Rng, item: u32) {
    let number = item * 10 + rng.u32(..10);
    let _ = write!(
        text,
        r#"{{"id":"a11d0000-0000-4000-8000-ffff006a{number:04}","name":"Målgrupp {number}"}}"#
    );
}

fn voucher(text: &mut String, rng: &mut Rng, _item: u32) {
    let (id, code) = (guid(rng), rng.u64(..9_999_999_999));
    let (name, expires) = (one(rng, &VOUCHERS), date(rng, 2037..2039));
    let amount = rng.u32(1..10) * 50;
    let _ = write!(
        text,
        r#"{{"id":"{id}","voucherNumber":"{code:013}","name":"{name}","expiresOn":"{expires}","value":{{"currency":"SEK","amount":{amount}}},"localValues":[{{"currency":"NOK","amount":148.5}},{{"currency":"EUR","amount":13.2}}],"points":3900}}"#
    );
}

/// One of 36 campaigns: the text is the campaign's, the id is the contact's own.
fn promotion(text: &mut String, rng: &mut Rng, item: u32) {
    let id = guid(rng);
    let campaign = item * 7 % 40 + rng.u32(..6);
    let percent = 5 + campaign;
    let _ = write!(
        text,
        r#"{{"id":"{id}","promotionId":"5a1e0f10-1000-4a00-9000-b2d000a0{campaign:04}","externalId":"SO-{campaign}","type":"Multichannel","name":"Erbjudande {campaign}","expiresOn":"2037-03-{:02}T23:59:59+01:00","heading":"{percent} % på valfri jacka","description":"Gäller en gång, ej på reavaror; kampanj {campaign}.","redeemed":false,"redeemedOn":null,"imageUrl":"https://cdn.example.com/promo/{campaign}.png","link":"https://shop.example.com/offers/{campaign}","redemptionChannels":[{{"type":"POS","valueType":"PERCENT","value":{percent},"localValues":[],"instruction":"Scanna medlemskortet"}},{{"type":"ECOM","valueType":"EXTERNALOFFER","value":"CODE{campaign}","localValues":[],"instruction":null}}]}}"#,
        1 + campaign % 28,
    );
}
