//! The data of the fixed contacts, with dates relative to the clock.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{ALVA, BO, CIM, DINA, DORA, Person};
use crate::{
    clock::TimeFormat,
    contact::{Contact, PointAccount, Voucher},
    json::Json,
};

/// The fixed contacts in their initial state.
pub(crate) fn everyone(now: Timestamp) -> Vec<Contact> {
    vec![
        alva(now),
        bo(now),
        cim(now),
        sharer(now, &DORA, "Dora"),
        sharer(now, &DINA, "Dina"),
    ]
}

fn day(now: Timestamp, days: i64, format: TimeFormat) -> String {
    format.write(now + SignedDuration::from_hours(24 * days))
}

fn store() -> Value {
    json!({"id": "11c0a1b2-7d3e-4a5f-9b60-b1aa00000101", "name": "Exempelstad City", "externalId": "1001"})
}

fn bare(person: &Person, attributes: Value, meta: Value) -> Contact {
    Contact {
        id: person.id.to_owned(),
        attributes: attributes.into(),
        meta: meta.into(),
        preferences: json!({"acceptsEmail": false, "acceptsPostal": false, "acceptsSms": false})
            .into(),
        consents: Json::Array(Vec::new()),
        warnings: Json::Array(Vec::new()),
        audiences: Json::Array(Vec::new()),
        vouchers: Vec::new(),
        promotions: Vec::new(),
        accounts: Vec::new(),
        extra: Vec::new(),
        also_found_by: Vec::new(),
    }
}

fn alva(now: Timestamp) -> Contact {
    let meta = json!({
        "createdOn": day(now, -958, TimeFormat::Offset),
        "modifiedOn": day(now, -22, TimeFormat::OffsetSevenDigits),
        "sourceType": "ECOM",
        "approved": true,
        "contactType": ALVA.contact_type,
        "recruitedByStore": {"id": "22d1b2c3-8e4f-4b60-8c71-b1aa00000102", "name": "Webshop SE", "externalId": "600"},
    });
    let mut contact = bare(&ALVA, alva_attributes(now), meta);
    contact.preferences =
        json!({"acceptsEmail": true, "acceptsPostal": false, "acceptsSms": true}).into();
    contact.consents = json!([
        {"id": "memberTerms", "value": true, "date": day(now, -958, TimeFormat::Offset), "comment": "Signed up online", "source": "ecom"},
        {"id": "profiling", "value": false, "date": day(now, -676, TimeFormat::Offset), "comment": null, "source": "POS"},
    ])
    .into();
    contact.audiences = json!([
        {"id": "a11d0000-0000-4000-8000-ffff006a0001", "name": "Svenska medlemmar"},
        {"id": "a11d0001-0000-4000-8000-aaaa006c0002", "name": "Gold"},
    ])
    .into();
    contact.vouchers = alva_vouchers(now);
    contact.promotions = alva_promotions(now);
    contact.accounts = vec![
        account(
            123,
            1,
            "317.5",
            "40",
            Some(day(now, 38, TimeFormat::Offset)),
        ),
        account(124, 2, "0", "0", None),
    ];
    contact
}

fn alva_attributes(now: Timestamp) -> Value {
    json!({
        "firstName": "Alva",
        "lastName": "Testsson",
        "street": "Provgatan 12",
        "careOf": null,
        "zipCode": "123 45",
        "city": "Exempelstad",
        "countryCode": "SE",
        "country": "Sverige",
        "email": ALVA.email,
        "mobilePhone": ALVA.phone,
        "socialSecurityNumber": ALVA.national_id,
        "birthDay": "1985-07-09",
        "annualBirthDay": null,
        "age": 41,
        "gender": "Female",
        "memberNumber": ALVA.member_number,
        "externalId": ALVA.external_id,
        "language": "sv",
        "lang": null,
        "discoveryKey": "3f5c7a10-aaaa-4bbb-8ccc-b2c300d4ffff",
        "rfm": 63,
        "isRegistrationCompleted": true,
        "registrationDate": day(now, -958, TimeFormat::Offset),
        "secrecyMarked": false,
        "lastOrderDate": day(now, -52, TimeFormat::Offset),
        "currentStore": store(),
        "bonusBasedLevel": "Gold",
        "bonusBasedLevelChanged": day(now, -267, TimeFormat::Offset),
        "bonusBasedLevelExpires": day(now, 97, TimeFormat::Offset),
        "bonusBasedLevelLeftForUpgrade": 1250.5,
        "memberLevelsBonusPoints": 3749.5,
        "shoeSize": 39,
        "favouriteSports": ["running", "yoga"],
        "newsletterFashion": true,
    })
}

fn alva_vouchers(now: Timestamp) -> Vec<Voucher> {
    let base =
        |last: u8, number: &str, name: &str, days: i64, amount: &str, points: &str| Voucher {
            id: format!("8d31c000-200{last}-4c22-b002-b2d200c0000{last}"),
            number: number.to_owned(),
            name: name.to_owned(),
            expires_on: day(now, days, TimeFormat::Zulu),
            redeemed_on: None,
            amount: amount.to_owned(),
            currency: "SEK".to_owned(),
            local_values: Vec::new(),
            points: points.to_owned(),
        };
    let mut payout = base(
        1,
        "2511000000017",
        "Bonusutbetalning 2026-10-01",
        38,
        "150",
        "3900",
    );
    payout.local_values = vec![
        ("NOK".to_owned(), "148.5".to_owned()),
        ("EUR".to_owned(), "13.2".to_owned()),
    ];
    let birthday = base(2, "2511000000024", "Födelsedagscheck", 53, "50", "0");
    let mut used = base(
        3,
        "2511000000031",
        "Bonusutbetalning 2026-04-01",
        -146,
        "100",
        "2000",
    );
    used.redeemed_on = Some(day(now, -205, TimeFormat::Zulu));
    vec![payout, birthday, used]
}

fn alva_promotions(now: Timestamp) -> Vec<Json> {
    let promotions = json!([
        {
            "id": "7c20b000-1001-4b11-a001-b2d100b00001", "promotionId": "5a1e0f10-0001-4a00-9000-b2d000a00001",
            "externalId": "SO-90001", "type": "Multichannel", "name": "Höstrabatt 15 procent",
            "expiresOn": day(now, 38, TimeFormat::Offset), "heading": "15 % på valfri jacka",
            "description": "Gäller en gång, ej på reavaror.", "redeemed": false, "redeemedOn": null,
            "imageUrl": "https://cdn.example.com/promo/autumn15.png", "link": "https://shop.example.com/jackor",
            "redemptionChannels": [
                {"type": "POS", "valueType": "PERCENT", "value": 15, "localValues": [], "instruction": "Scanna medlemskortet"},
                {"type": "ECOM", "valueType": "EXTERNALOFFER", "value": "AUTUMN15", "localValues": [], "instruction": null},
            ],
        },
        {
            "id": "7c20b000-1002-4b11-a001-b2d100b00002", "promotionId": "5a1e0f10-0002-4a00-9000-b2d000a00002",
            "externalId": null, "type": "Multichannel", "name": "Welcome 100 SEK", "expiresOn": null,
            "heading": "100 kr välkomstrabatt", "description": null, "redeemed": false, "redeemedOn": null,
            "imageUrl": null, "link": null,
            "redemptionChannels": [{
                "type": "ECOM", "valueType": "MONEY", "value": {"amount": 100, "currency": "SEK"},
                "localValues": [{"amount": 10, "currency": "EUR"}, {"amount": 95.5, "currency": "NOK"}], "instruction": null,
            }],
        },
        {
            "id": "7c20b000-1003-4b11-a001-b2d100b00003", "promotionId": "5a1e0f10-0003-4a00-9000-b2d000a00003",
            "externalId": "PARTNER-77", "type": "Multichannel", "name": "Förköp vinter",
            "expiresOn": day(now, 8, TimeFormat::Offset), "heading": "Förköp", "description": "Early access",
            "redeemed": false, "redeemedOn": null, "imageUrl": null, "link": "https://shop.example.com/forkop",
            "redemptionChannels": [{
                "type": "OTHER", "valueType": "MANUAL", "value": "Visa koden i kassan", "localValues": [],
                "instruction": "Butikschef godkänner",
            }],
        },
        {
            "id": "7c20b000-1004-4b11-a001-b2d100b00004", "promotionId": "5a1e0f10-0004-4a00-9000-b2d000a00004",
            "externalId": null, "type": "Multichannel", "name": "Demo already used", "expiresOn": null,
            "heading": "Gratis frakt", "description": "Redan använd", "redeemed": true,
            "redeemedOn": day(now, -165, TimeFormat::Offset), "imageUrl": null, "link": null,
            "redemptionChannels": [
                {"type": "ECOM", "valueType": "EXTERNALOFFER", "value": "FREESHIP", "localValues": [], "instruction": null},
            ],
        },
    ]);
    Json::from(promotions).items().to_vec()
}

fn account(
    number: u64,
    definition: u32,
    balance: &str,
    pending: &str,
    expires: Option<String>,
) -> PointAccount {
    PointAccount {
        guid: format!("9e42d000-300{definition}-4d33-8003-b2d300d0000{definition}"),
        number,
        definition,
        balance: balance.to_owned(),
        pending: pending.to_owned(),
        expires,
    }
}

fn bo(now: Timestamp) -> Contact {
    let created = day(now, -3, TimeFormat::Offset);
    let attributes = json!({
        "email": BO.email, "firstName": null, "lastName": null, "mobilePhone": null,
        "countryCode": null, "currentStore": null,
    });
    let meta = json!({
        "createdOn": created, "modifiedOn": created, "sourceType": "API", "approved": true,
        "contactType": BO.contact_type, "recruitedByStore": null,
    });
    bare(&BO, attributes, meta)
}

fn cim(now: Timestamp) -> Contact {
    let created = day(now, -1, TimeFormat::Offset);
    let attributes = json!({
        "email": CIM.email, "firstName": "Cim", "lastName": "Ovan", "mobilePhone": CIM.phone,
        "countryCode": "SE", "secrecyMarked": true, "currentStore": store(),
    });
    let meta = json!({
        "createdOn": created, "modifiedOn": created, "sourceType": "POS", "approved": false,
        "contactType": CIM.contact_type, "recruitedByStore": store(),
    });
    let mut contact = bare(&CIM, attributes, meta);
    contact.warnings =
        json!([{"id": "invalidEmail", "message": "The e-mail address has bounced"}]).into();
    contact.extra = vec![(
        "someFieldAddedLater".to_owned(),
        json!({"ignore": "me"}).into(),
    )];
    contact
}

fn sharer(now: Timestamp, person: &Person, first_name: &str) -> Contact {
    let created = day(now, -400, TimeFormat::NoZone);
    let attributes = json!({
        "email": person.email, "firstName": first_name, "lastName": "Delad",
        "mobilePhone": person.phone, "socialSecurityNumber": person.national_id,
        "memberNumber": person.member_number, "externalId": person.external_id,
        "countryCode": "SE", "secrecyMarked": false, "currentStore": store(),
    });
    let meta = json!({
        "createdOn": created, "modifiedOn": created, "sourceType": "ECOM", "approved": true,
        "contactType": person.contact_type, "recruitedByStore": null,
    });
    let mut contact = bare(person, attributes, meta);
    contact.preferences =
        json!({"acceptsEmail": true, "acceptsPostal": true, "acceptsSms": true}).into();
    contact
}
