//! Audiences, vouchers, promotions and points of generated contacts.

use fastrand::Rng;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{date, guid, once_in, pick};
use crate::{
    contact::{PointAccount, Transaction, Voucher},
    json::Json,
};

/// The audiences of the tenant.
pub(crate) const AUDIENCES: [(&str, &str); 4] = [
    ("a11d0000-0000-4000-8000-ffff006a0001", "Svenska medlemmar"),
    ("a11d0001-0000-4000-8000-aaaa006c0002", "Gold"),
    ("a11d0002-0000-4000-8000-cccc006c0003", "Member"),
    ("a11d0003-0000-4000-8000-dddd006c0004", "Skidåkare"),
];

/// The point definitions of the tenant: id, name and description.
pub(crate) const POINT_DEFINITIONS: [(u32, &str, &str); 2] = [
    (1, "Bonus", "Default points"),
    (2, "Eco", "Sustainability points"),
];

/// Balances in Engage's formats.
const BALANCES: [&str; 8] = [
    "0",
    "317.5",
    "250.0000",
    "12",
    "1999.99",
    "0.5",
    "-25",
    "100000.0001",
];
const AMOUNTS: [&str; 6] = ["50", "100", "150.00", "250.0000", "99.9", "25"];

pub(super) fn audiences(rng: &mut Rng) -> Json {
    let mut mine = Vec::new();
    for (id, name) in AUDIENCES {
        if rng.bool() {
            mine.push(json!({"id": id, "name": name}));
        }
    }
    mine.into()
}

pub(super) fn vouchers(rng: &mut Rng, now: Timestamp) -> Vec<Voucher> {
    (0..rng.u32(0..=4)).map(|_| voucher(rng, now)).collect()
}

fn voucher(rng: &mut Rng, now: Timestamp) -> Voucher {
    let is_redeemed = once_in(rng, 4);
    let local_values = if rng.bool() {
        vec![
            ("NOK".to_owned(), "148.5".to_owned()),
            ("EUR".to_owned(), "13.2000".to_owned()),
        ]
    } else {
        Vec::new()
    };
    Voucher {
        id: guid(rng),
        number: format!("{:013}", rng.u64(0..9_999_999_999)),
        name: pick(
            rng,
            &[
                "Bonusutbetalning 2026-10-01 07:00",
                "Födelsedagscheck",
                "Bonus check",
            ],
        )
        .to_owned(),
        expires_on: date(rng, now, -20..120),
        redeemed_on: is_redeemed.then(|| date(rng, now, -200..-30)),
        reactivations: 0,
        amount: pick(rng, &AMOUNTS).to_owned(),
        currency: "SEK".to_owned(),
        local_values,
        points: pick(rng, &["0", "3900", "2000.5"]).to_owned(),
    }
}

pub(super) fn promotions(rng: &mut Rng, now: Timestamp) -> Vec<Json> {
    (0..rng.u32(0..=4)).map(|_| promotion(rng, now)).collect()
}

fn promotion(rng: &mut Rng, now: Timestamp) -> Json {
    let template = rng.u32(0..40);
    let is_redeemed = once_in(rng, 5);
    let mut channels = Vec::new();
    for channel in ["POS", "ECOM", "OTHER"] {
        if rng.bool() {
            channels.push(redemption_channel(rng, channel));
        }
    }
    if channels.is_empty() {
        channels.push(redemption_channel(rng, "ECOM"));
    }
    let expires_on = (!once_in(rng, 4)).then(|| date(rng, now, -20..90));
    let mut promotion = Json::from(json!({
        "id": guid(rng),
        "promotionId": format!("5a1e0f10-1000-4a00-9000-b2d000a0{template:04}"),
        "externalId": rng.bool().then(|| format!("SO-{template}")),
        "type": "Multichannel",
        "name": format!("Erbjudande {template}"),
        "expiresOn": expires_on,
        "heading": rng.bool().then_some("Bara för dig"),
        "description": rng.bool().then_some("Gäller en gång, \"ej\" på reavaror."),
        "redeemed": is_redeemed,
        "redeemedOn": is_redeemed.then(|| date(rng, now, -100..-30)),
        "imageUrl": rng.bool().then_some("https://cdn.example.com/promo/1.png"),
        "link": rng.bool().then_some("https://shop.example.com/offer"),
    }));
    promotion.set("redemptionChannels", Json::Array(channels));
    promotion
}

fn redemption_channel(rng: &mut Rng, channel: &str) -> Json {
    let money = |amount: &str, currency: &str| {
        Json::object([
            ("amount", Json::number(amount)),
            ("currency", currency.into()),
        ])
    };
    let kind = pick(
        rng,
        &["PERCENT", "MONEY", "EXTERNALOFFER", "MANUAL", "SWIPE"],
    );
    let value = match kind {
        "PERCENT" => Json::number(rng.u32(5..=50)),
        "MONEY" => money(pick(rng, &AMOUNTS), "SEK"),
        "EXTERNALOFFER" => format!("CODE{}", rng.u32(10..99)).into(),
        "MANUAL" => "Visa koden i kassan".into(),
        _ => Json::from(Value::Null),
    };
    let local_values = if kind == "MONEY" {
        vec![money("10", "EUR"), money("95.5000", "NOK")]
    } else {
        Vec::new()
    };
    let mut written = Json::object([
        ("type", channel.into()),
        ("valueType", kind.into()),
        ("value", value),
        (
            "instruction",
            rng.bool().then_some("Scanna medlemskortet").into(),
        ),
    ]);
    // Some of Engage's own examples lack the list.
    if !once_in(rng, 5) {
        written.set("localValues", Json::Array(local_values));
    }
    written
}

pub(super) fn accounts(rng: &mut Rng, now: Timestamp, index: usize) -> Vec<PointAccount> {
    (1..=rng.u32(0..=2))
        .map(|definition| PointAccount {
            guid: guid(rng),
            number: 10_000 + 2 * index as u64 + u64::from(definition),
            definition,
            balance: pick(rng, &BALANCES).to_owned(),
            pending: pick(rng, &["0", "40", "12.50"]).to_owned(),
            expires: rng.bool().then(|| date(rng, now, 5..200)),
        })
        .collect()
}

/// Makes one transaction for each account, with the amount of its balance. Uses a random generator of its own, so that
/// the other generated data does not depend on the transactions.
pub(super) fn transactions(
    accounts: &[PointAccount],
    now: Timestamp,
    index: usize,
) -> Vec<Transaction> {
    let mut rng = Rng::with_seed(index as u64);
    let transaction = |account: &PointAccount| {
        let at = date(&mut rng, now, -300..-1);
        let mut item = Json::from(json!({
            "id": guid(&mut rng), "accountId": account.guid, "description": null,
            "source": pick(&mut rng, &["Purchase", "Manual", "Automation"]), "amount": null,
            "type": "Addition", "transactionDate": at, "createdOn": at, "modifiedOn": at,
            "validFrom": at, "validTo": account.expires, "retailTransactionLineItemId": null,
        }));
        item.set("amount", Json::number(&account.balance));
        Transaction {
            definition: account.definition,
            item,
        }
    };
    accounts.iter().map(transaction).collect()
}
