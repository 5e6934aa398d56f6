//! Applies edits to a contact and determines the events that Engage would send.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use super::{Edit, VoucherSeed, history::transaction};
use crate::{
    clock::TimeFormat,
    contact::{Contact, PointAccount, Voucher},
    identifier,
    json::Json,
    seed::guid,
    webhook::Event,
};

/// The result of an edit.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) events: Vec<Event>,
    /// Whether `/contacts/changes` lists the contact as updated.
    pub(crate) is_update: bool,
}

impl Change {
    fn silent() -> Self {
        Self::default()
    }

    fn with_event(event: Event) -> Self {
        Self {
            events: vec![event],
            is_update: false,
        }
    }

    fn update(events: Vec<Event>) -> Self {
        Self {
            events,
            is_update: true,
        }
    }
}

/// Applies an edit; the error is a message. Deletion is handled by the world.
pub(crate) fn apply(
    edit: Edit,
    contact: &mut Contact,
    rng: &mut Rng,
    now: Timestamp,
) -> Result<Change, String> {
    let change = match edit {
        Edit::Points(balance) => set_points(contact, rng, now, 1, balance)?,
        Edit::PointsOf(definition, balance) => set_points(contact, rng, now, definition, balance)?,
        Edit::Attribute(key, value) => {
            contact.attributes.set(&key, value);
            updated(contact)
        }
        Edit::AlsoFoundBy(key, value) => find_also_by(contact, &key, &value)?,
        Edit::ContactType(name) => {
            contact.meta.set("contactType", name.into());
            updated(contact)
        }
        Edit::AddVoucher(seed) => add_voucher(contact, rng, now, seed)?,
        Edit::RemoveVoucher(id) => remove_voucher(contact, &id)?,
        Edit::RedeemVoucher(id) => redeem_voucher(contact, &id, now)?,
        Edit::AddTransaction(given) => add_transaction(contact, rng, now, given)?,
        Edit::Purchases(purchases) => {
            contact.purchases = purchases;
            Change::silent()
        }
        Edit::ReactivateVoucher(id) => {
            voucher(contact, &id)?.reactivate(now)?;
            Change::silent()
        }
        Edit::AddPromotion(given) => add_promotion(contact, rng, given)?,
        Edit::RemovePromotion(id) => remove_promotion(contact, &id)?,
        Edit::RedeemPromotion(id) => redeem_promotion(contact, &id, now)?,
        Edit::Audiences(audiences) => {
            contact.audiences = audiences;
            Change::silent()
        }
        Edit::Warnings(warnings) => {
            contact.warnings = warnings;
            Change::silent()
        }
        Edit::Preferences(given) => set_preferences(contact, &given),
        Edit::Consents(consents) => set_consents(contact, consents),
        Edit::Delete => {
            return Err(
                "a deletion can't be applied to a contact; the world handles it".to_owned(),
            );
        }
    };
    if change.is_update {
        let modified = TimeFormat::OffsetSevenDigits.write(now);
        contact.meta.set("modifiedOn", modified.into());
    }
    Ok(change)
}

fn updated(contact: &Contact) -> Change {
    Change::update(vec![Event::new("contact.updated", &contact.id, &[])])
}

fn find_also_by(contact: &mut Contact, key: &str, value: &str) -> Result<Change, String> {
    let found_by = identifier::of_attribute(key, value)
        .ok_or_else(|| format!("no contact can be found by this {key}"))?;
    contact.also_found_by.push(found_by);
    Ok(Change::silent())
}

fn set_points(
    contact: &mut Contact,
    rng: &mut Rng,
    now: Timestamp,
    definition: u32,
    balance: String,
) -> Result<Change, String> {
    check_number(&balance)?;
    let known = |account: &PointAccount| account.definition == definition;
    let index = contact.accounts.iter().position(known).unwrap_or_else(|| {
        contact.accounts.push(PointAccount {
            guid: guid(rng),
            number: rng.u64(1_000_000..9_999_999),
            definition,
            balance: "0".to_owned(),
            pending: "0".to_owned(),
            expires: None,
        });
        contact.accounts.len() - 1
    });
    let account = &mut contact.accounts[index];
    let before = std::mem::replace(&mut account.balance, balance);
    let after = account.balance.clone();
    let mut change = Change::with_event(Event::balance_updated(&contact.id, account));
    if let Some(amount) = raise(&before, &after) {
        let added = Event::points_added(&contact.id, definition, &amount);
        change.events.push(added);
    }
    if let Some(amount) = difference(&before, &after) {
        let is_addition = !amount.starts_with('-');
        let given = Json::object([
            ("definitionId", Json::number(definition)),
            ("amount", Json::number(&amount)),
            (
                "type",
                if is_addition { "Addition" } else { "Deduction" }.into(),
            ),
        ]);
        let transaction = transaction(contact, rng, now, given)?;
        contact.transactions.push(transaction);
    }
    Ok(change)
}

fn add_voucher(
    contact: &mut Contact,
    rng: &mut Rng,
    now: Timestamp,
    seed: VoucherSeed,
) -> Result<Change, String> {
    let numbers = seed.local_values.iter().map(|(_, amount)| amount);
    for number in numbers.chain([&seed.amount, &seed.points]) {
        check_number(number)?;
    }
    let in_a_month = now + SignedDuration::from_hours(24 * 30);
    let voucher = Voucher {
        id: seed.id.unwrap_or_else(|| guid(rng)),
        number: seed
            .number
            .unwrap_or_else(|| format!("{:013}", rng.u64(0..9_999_999_999))),
        name: seed.name,
        expires_on: seed
            .expires_on
            .unwrap_or_else(|| TimeFormat::Zulu.write(in_a_month)),
        redeemed_on: None,
        reactivations: 0,
        amount: seed.amount,
        currency: seed.currency,
        local_values: seed.local_values,
        points: seed.points,
    };
    let event = Event::voucher_created(&contact.id, &voucher, &TimeFormat::Offset.write(now));
    if !matches!(voucher.points.as_str(), "0" | "-0") {
        let given = Json::object([
            ("amount", Json::number(format!("-{}", voucher.points))),
            ("type", "Deduction".into()),
            ("source", "RewardVoucher".into()),
            ("description", "Converted to voucher".into()),
        ]);
        let transaction = transaction(contact, rng, now, given)?;
        contact.transactions.push(transaction);
    }
    contact.vouchers.push(voucher);
    Ok(Change::with_event(event))
}

fn remove_voucher(contact: &mut Contact, id: &str) -> Result<Change, String> {
    voucher(contact, id)?;
    contact.vouchers.retain(|voucher| voucher.id != id);
    Ok(Change::silent())
}

fn redeem_voucher(contact: &mut Contact, id: &str, now: Timestamp) -> Result<Change, String> {
    voucher(contact, id)?.redeemed_on = Some(TimeFormat::Zulu.write(now));
    Ok(Change::silent())
}

fn voucher<'a>(contact: &'a mut Contact, id: &str) -> Result<&'a mut Voucher, String> {
    let mut vouchers = contact.vouchers.iter_mut();
    vouchers
        .find(|voucher| voucher.id == id)
        .ok_or_else(|| format!("the contact has no voucher {id}"))
}

fn add_transaction(
    contact: &mut Contact,
    rng: &mut Rng,
    now: Timestamp,
    given: Json,
) -> Result<Change, String> {
    let transaction = transaction(contact, rng, now, given)?;
    contact.transactions.push(transaction);
    Ok(Change::silent())
}

fn add_promotion(contact: &mut Contact, rng: &mut Rng, given: Json) -> Result<Change, String> {
    let promotion = complete_promotion(given, rng)?;
    let event = Event::promotion_assigned(&contact.id, &promotion);
    contact.promotions.push(promotion);
    Ok(Change::with_event(event))
}

fn remove_promotion(contact: &mut Contact, id: &str) -> Result<Change, String> {
    promotion(contact, id)?;
    let is_other = |promotion: &Json| promotion.text("id") != Some(id);
    contact.promotions.retain(is_other);
    Ok(Change::silent())
}

fn redeem_promotion(contact: &mut Contact, id: &str, now: Timestamp) -> Result<Change, String> {
    let promotion = promotion(contact, id)?;
    promotion.set("redeemed", true.into());
    promotion.set("redeemedOn", TimeFormat::Offset.write(now).into());
    Ok(Change::silent())
}

fn promotion<'a>(contact: &'a mut Contact, id: &str) -> Result<&'a mut Json, String> {
    let mut promotions = contact.promotions.iter_mut();
    promotions
        .find(|promotion| promotion.text("id") == Some(id))
        .ok_or_else(|| format!("the contact has no promotion {id}"))
}

/// Adds the fields that Engage's promotions always have.
fn complete_promotion(given: Json, rng: &mut Rng) -> Result<Json, String> {
    let Json::Object(fields) = given else {
        return Err("a promotion must be a JSON object".to_owned());
    };
    let mut promotion = Json::object([
        ("id", guid(rng).into()),
        ("promotionId", guid(rng).into()),
        ("externalId", Json::Null),
        ("type", "Multichannel".into()),
        ("name", "Promotion".into()),
        ("expiresOn", Json::Null),
        ("heading", Json::Null),
        ("description", Json::Null),
        ("redeemed", false.into()),
        ("redeemedOn", Json::Null),
        ("imageUrl", Json::Null),
        ("link", Json::Null),
        ("redemptionChannels", Json::Array(Vec::new())),
    ]);
    for (key, value) in fields {
        promotion.set(&key, value);
    }
    Ok(promotion)
}

fn set_preferences(contact: &mut Contact, given: &Json) -> Change {
    let mut events = Vec::new();
    for (name, value) in given.fields() {
        if contact.preferences.get(name) != Some(value) {
            events.push(Event::preference_changed(&contact.id, name, value));
        }
        contact.preferences.set(name, value.clone());
    }
    Change::update(events)
}

fn set_consents(contact: &mut Contact, consents: Json) -> Change {
    let before = std::mem::replace(&mut contact.consents, consents);
    let is_new = |consent: &&Json| !before.items().contains(consent);
    let events = contact
        .consents
        .items()
        .iter()
        .filter(is_new)
        .map(|consent| Event::consent_changed(&contact.id, consent))
        .collect();
    Change::update(events)
}

fn check_number(text: &str) -> Result<(), String> {
    match Json::parse(text) {
        Ok(Json::Number(_)) => Ok(()),
        _ => Err(format!("`{text}` is not the text of a JSON number")),
    }
}

/// The exact increase of a balance; `None` without one.
fn raise(before: &str, after: &str) -> Option<String> {
    difference(before, after).filter(|amount| !amount.starts_with('-'))
}

/// The exact change of a balance; `None` without one.
fn difference(before: &str, after: &str) -> Option<String> {
    let fraction = |text: &str| text.split_once('.').map_or(0, |(_, digits)| digits.len());
    let scale = fraction(before).max(fraction(after));
    let scaled = |text: &str| -> Option<i128> {
        let padding = "0".repeat(scale - fraction(text));
        // A number with an exponent does not parse, so it causes neither `loyalty.addPoints` nor a transaction; Engage
        // may do the same.
        format!("{}{padding}", text.replace('.', "")).parse().ok()
    };
    let change = scaled(after)?.checked_sub(scaled(before)?)?;
    if change == 0 {
        return None;
    }
    let sign = if change < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", change.unsigned_abs(), width = scale + 1);
    let (whole, rest) = digits.split_at(digits.len() - scale);
    Some(if rest.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{rest}")
    })
}

#[cfg(test)]
mod tests {
    use super::{difference, raise};

    #[test]
    fn increase_is_exact() {
        assert_eq!(raise("317.5", "343"), Some("25.5".to_owned()));
        assert_eq!(raise("0", "0.0001"), Some("0.0001".to_owned()));
        assert_eq!(raise("-25", "250.0000"), Some("275.0000".to_owned()));
        assert_eq!(raise("10", "9.5"), None);
        assert_eq!(raise("10", "10.0"), None);
        assert_eq!(difference("10", "9.5"), Some("-0.5".to_owned()));
        assert_eq!(difference("10", "10.0"), None);
    }
}
