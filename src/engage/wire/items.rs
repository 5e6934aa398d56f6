//! Parses lists: promotions, vouchers, point accounts, audiences and warnings.

use serde_json::value::RawValue;

use super::{Page, Reader, flag};
use crate::{
    domain::{
        AnswerPath, Audience, Audiences, Channel, ContactId, Money, Offer, OfferKind, OfferValue,
        Partial, PointAccount, Points, Promotion, Promotions, Voucher, Vouchers, Warning,
    },
    engage::error::Error,
    json::{Object, decimal, elements, list, objects, readable, text},
};

/// The list in a response: a bare array, which is complete, or a page. One page of Voyado's documentation has `Items`.
pub(super) fn page(value: &RawValue) -> Result<Page<&RawValue>, Error> {
    if let Some(items) = list(value) {
        return Ok(Page {
            items: value,
            offset: None,
            count: items.len(),
            total: Some(items.len()),
        });
    }
    let page = Object::of(value).ok_or_else(|| Error::invalid("$"))?;
    let items = page
        .first(&["items", "Items"])
        .ok_or_else(|| Error::invalid("items"))?;
    let count = list(items).ok_or_else(|| Error::invalid("items"))?.len();
    let number = |key| page.text(key).and_then(|text| text.parse().ok());
    Ok(Page {
        items,
        offset: number("offset"),
        count,
        total: number("totalCount"),
    })
}

pub(super) fn audiences(answer: &Object<'_>) -> Result<Partial<Audiences>, Error> {
    let audience = |element: Option<Object<'_>>| {
        let audience = element.ok_or("audiences[]")?;
        Ok(Audience {
            id: audience.id("id").ok_or("audiences[].id")?,
            name: audience.filled("name"),
        })
    };
    let audiences = match answer.first(&["audiences", "targetAudiences", "profiles"]) {
        Some(values) => {
            let elements = elements(values).ok_or_else(|| Error::invalid("audiences"))?;
            readable(elements, audience)
        }
        None => Partial::default(),
    };
    let mut warnings = warnings(answer);
    let mut left_out = audiences.left_out;
    left_out.append(&mut warnings.left_out);
    Ok(Partial {
        data: Audiences {
            audiences: audiences.data,
            warnings: warnings.data,
        },
        left_out,
    })
}

/// The shape of the elements is not documented: a bare string is a message.
fn warnings(answer: &Object<'_>) -> Partial<Vec<Warning>> {
    let warning = |value: &RawValue| match Object::of(value) {
        Some(warning) => Ok(Warning {
            id: warning.filled("id"),
            message: warning.filled("message"),
        }),
        None => match text(value) {
            Some(message) => Ok(Warning {
                id: None,
                message: Some(message.into()),
            }),
            None => Err("warnings[]"),
        },
    };
    match answer.get("warnings").map(list) {
        Some(Some(values)) => readable(values, warning),
        Some(None) => Partial {
            data: Vec::new(),
            left_out: vec!["warnings"],
        },
        None => Partial::default(),
    }
}

pub(super) fn promotions(reader: &Reader, value: &RawValue) -> Result<Partial<Promotions>, Error> {
    let elements = elements(value).ok_or_else(|| Error::invalid("promotions"))?;
    Ok(readable(elements, |element| {
        promotion(reader, &element.ok_or("promotions[]")?)
    }))
}

/// A promotion with an unreadable offer is left out, because without that offer it would seem to be worth less than it
/// is.
fn promotion(reader: &Reader, item: &Object<'_>) -> Result<Promotion, AnswerPath> {
    let offers = match item.get("redemptionChannels") {
        Some(values) => {
            let items = objects(values).ok_or("promotions[].redemptionChannels")?;
            all(items, |item| offer(&item))?
        }
        None => Vec::new(),
    };
    Ok(Promotion {
        id: item.id("id").ok_or("promotions[].id")?,
        promotion_id: item.filled("promotionId"),
        external_id: item.id("externalId"),
        promotion_type: item.filled("type"),
        name: item.filled("name"),
        heading: item.filled("heading"),
        description: item.filled("description"),
        image_url: item.filled("imageUrl"),
        link: item.filled("link"),
        expires_on: reader
            .end(item, "expiresOn")
            .map_err(|_| "promotions[].expiresOn")?,
        redeemed: flag::is_redeemed(item),
        offers,
    })
}

fn offer(item: &Object<'_>) -> Result<Offer, AnswerPath> {
    let value_type = item
        .text("valueType")
        .unwrap_or_default()
        .to_ascii_uppercase();
    let path = "promotions[].redemptionChannels[].value";
    let (kind, value) = match &*value_type {
        "PERCENT" => (
            OfferKind::Percent,
            item.get("value").map_or(Ok(OfferValue::None), |_| {
                item.decimal("value").map(OfferValue::Number).ok_or(path)
            })?,
        ),
        "MONEY" => (
            OfferKind::Money,
            item.get("value").map_or(Ok(OfferValue::None), |value| {
                money(value, path).map(OfferValue::Money)
            })?,
        ),
        "EXTERNALOFFER" => (OfferKind::External, text_value(item)),
        "MANUAL" => (OfferKind::Manual, text_value(item)),
        // The value of SWIPE is not documented.
        _ => (OfferKind::Other, text_value(item)),
    };
    Ok(Offer {
        channel: item
            .text("type")
            .and_then(|text| Channel::from_name(&text.to_ascii_uppercase())),
        kind,
        value,
        local_values: local_values(item, "promotions[].redemptionChannels[].localValues")?,
        instruction: item.filled("instruction"),
    })
}

fn text_value(item: &Object<'_>) -> OfferValue {
    item.filled("value")
        .map_or(OfferValue::None, OfferValue::Text)
}

pub(super) fn vouchers(reader: &Reader, value: &RawValue) -> Result<Partial<Vouchers>, Error> {
    let elements = elements(value).ok_or_else(|| Error::invalid("vouchers"))?;
    Ok(readable(elements, |element| {
        voucher(reader, &element.ok_or("vouchers[]")?)
    }))
}

pub(super) fn voucher(reader: &Reader, item: &Object<'_>) -> Result<Voucher, AnswerPath> {
    Ok(Voucher {
        id: item.id("id").ok_or("vouchers[].id")?,
        code: item
            .filled("voucherNumber")
            .or_else(|| item.filled("checkNumber")),
        name: item.filled("name"),
        value: item
            .get("value")
            .map(|value| money(value, "vouchers[].value"))
            .transpose()?,
        local_values: local_values(item, "vouchers[].localValues")?,
        expires_on: reader
            .end(item, "expiresOn")
            .map_err(|_| "vouchers[].expiresOn")?,
        redeemed: flag::is_redeemed(item),
    })
}

fn local_values(item: &Object<'_>, path: AnswerPath) -> Result<Vec<Money>, AnswerPath> {
    let Some(values) = item.get("localValues") else {
        return Ok(Vec::new());
    };
    all(objects(values).ok_or(path)?, |money| {
        exact_money(&money, path)
    })
}

fn money(value: &RawValue, path: AnswerPath) -> Result<Money, AnswerPath> {
    let money = Object::of(value).ok_or(path)?;
    exact_money(&money, path)
}

/// Money is parsed exactly or not at all.
fn exact_money(money: &Object<'_>, path: AnswerPath) -> Result<Money, AnswerPath> {
    let read = || {
        Some(Money {
            amount: money.decimal("amount")?,
            currency: money.filled("currency")?,
        })
    };
    read().ok_or(path)
}

/// All values, or the error of the first unreadable one.
fn all<T, V>(
    values: Vec<V>,
    mut read: impl FnMut(V) -> Result<T, AnswerPath>,
) -> Result<Vec<T>, AnswerPath> {
    let mut all = Vec::with_capacity(values.len());
    for value in values {
        all.push(read(value)?);
    }
    Ok(all)
}

pub(super) fn points(
    reader: &Reader,
    id: ContactId,
    value: &RawValue,
) -> Result<Partial<Points>, Error> {
    let elements = elements(value).ok_or_else(|| Error::invalid("accounts"))?;
    if !elements.iter().flatten().all(|item| is_of(id, item)) {
        return Err(Error::IdentityMismatch);
    }
    let accounts = readable(elements, |element| {
        account(reader, &element.ok_or("accounts[]")?)
    });
    Ok(accounts.map(|accounts| Points { accounts }))
}

/// Whether the item belongs to the contact. Nothing later can check this. An item without a contact id passes.
pub(super) fn is_of(id: ContactId, item: &Object<'_>) -> bool {
    item.every("contactId").all(|subject| {
        let is_owner =
            || text(subject).and_then(|subject| ContactId::parse_lenient(&subject)) == Some(id);
        subject.get() == "null" || is_owner()
    })
}

fn account(reader: &Reader, item: &Object<'_>) -> Result<PointAccount, AnswerPath> {
    let definition_id = item.id("definitionId");
    // Without its definition a balance would count as another definition's.
    if definition_id.is_none() && item.is_filled("definitionId") {
        return Err("accounts[].definitionId");
    }
    Ok(PointAccount {
        definition_id,
        name: None,
        balance: item.decimal("balance").ok_or("accounts[].balance")?,
        pending: item.decimal("pendingPoints"),
        expires_on: reader
            .end(item, "balanceExpires")
            .map_err(|_| "accounts[].balanceExpires")?,
    })
}

/// API v2 has one balance, in an attribute [Voyado: points].
pub(super) fn overview_points(answer: &Object<'_>) -> Result<Option<Partial<Points>>, Error> {
    let Some(attributes) = answer.object("attributes") else {
        return Ok(None);
    };
    let Some(balance) = attributes.text("bonusPoints") else {
        return Ok(None);
    };
    let balance = decimal(&balance).ok_or_else(|| Error::invalid("attributes.bonusPoints"))?;
    let account = PointAccount {
        definition_id: None,
        name: None,
        balance,
        pending: None,
        expires_on: None,
    };
    let points = Points {
        accounts: vec![account],
    };
    Ok(Some(points.into()))
}
