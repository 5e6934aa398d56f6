//! The lists: promotions, vouchers, point accounts, audiences and warnings.

use serde_json::value::RawValue;

use super::{
    Object, Page, Reader,
    object::{all, decimal, list, objects, text},
};
use crate::{
    domain::{
        Audience, Audiences, Channel, ContactId, Money, Offer, OfferKind, OfferValue, PointAccount,
        Points, Promotion, Promotions, Voucher, Vouchers, Warning,
    },
    engage::Error,
};

/// The list in an answer that is a bare array, and then whole, or a page. One page of Voyado's prints
/// `Items` with a capital.
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

pub(super) fn audiences(answer: &Object<'_>) -> Result<Audiences, Error> {
    let audience = |value: &RawValue| {
        let audience = Object::of(value)?;
        Some(Audience {
            id: audience.id("id")?,
            name: audience.filled("name"),
        })
    };
    let warning = |value: &RawValue| match Object::of(value) {
        Some(warning) => Some(Warning {
            id: warning.filled("id"),
            message: warning.filled("message"),
        }),
        // The element's shape is not documented: a bare text is a message.
        None => text(value).map(|message| Warning {
            id: None,
            message: Some(message.into()),
        }),
    };
    Ok(Audiences {
        // One that can't be read fails them all: left out, it would be told that there is none.
        audiences: match answer.first(&["audiences", "targetAudiences", "profiles"]) {
            Some(values) => all(
                list(values).ok_or_else(|| Error::invalid("audiences"))?,
                |value| audience(value).ok_or_else(|| Error::invalid("audiences[].id")),
            )?,
            None => Vec::new(),
        },
        warnings: match answer.get("warnings") {
            Some(values) => list(values)
                .unwrap_or_default()
                .into_iter()
                .filter_map(warning)
                .collect(),
            None => Vec::new(),
        },
    })
}

pub(super) fn promotions(reader: &Reader, value: &RawValue) -> Result<Promotions, Error> {
    all(objects(value, "promotions")?, |item| {
        promotion(reader, &item)
    })
}

fn promotion(reader: &Reader, item: &Object<'_>) -> Result<Promotion, Error> {
    let offers = match item.get("redemptionChannels") {
        Some(values) => {
            let items = objects(values, "promotions[].redemptionChannels")?;
            all(items, |item| offer(&item))?
        }
        None => Vec::new(),
    };
    Ok(Promotion {
        id: item
            .id("id")
            .ok_or_else(|| Error::invalid("promotions[].id"))?,
        promotion_id: item.filled("promotionId"),
        name: item.filled("name"),
        heading: item.filled("heading"),
        description: item.filled("description"),
        image_url: item.filled("imageUrl"),
        link: item.filled("link"),
        expires_on: item.text("expiresOn").and_then(|text| reader.time(&text)),
        redeemed: is_redeemed(item),
        offers,
    })
}

fn offer(item: &Object<'_>) -> Result<Offer, Error> {
    let value_type = item
        .text("valueType")
        .unwrap_or_default()
        .to_ascii_uppercase();
    let path = "promotions[].redemptionChannels[].value";
    let (kind, value) = match &*value_type {
        "PERCENT" => (
            OfferKind::Percent,
            item.get("value").map_or(Ok(OfferValue::None), |_| {
                item.decimal("value")
                    .map(OfferValue::Number)
                    .ok_or_else(|| Error::invalid(path))
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
        // What SWIPE holds is not documented.
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

pub(super) fn vouchers(reader: &Reader, value: &RawValue) -> Result<Vouchers, Error> {
    all(objects(value, "vouchers")?, |item| voucher(reader, &item))
}

fn voucher(reader: &Reader, item: &Object<'_>) -> Result<Voucher, Error> {
    Ok(Voucher {
        id: item
            .id("id")
            .ok_or_else(|| Error::invalid("vouchers[].id"))?,
        code: item
            .filled("voucherNumber")
            .or_else(|| item.filled("checkNumber")),
        name: item.filled("name"),
        value: item
            .get("value")
            .map(|value| money(value, "vouchers[].value"))
            .transpose()?,
        local_values: local_values(item, "vouchers[].localValues")?,
        expires_on: item.text("expiresOn").and_then(|text| reader.time(&text)),
        redeemed: is_redeemed(item),
    })
}

/// Either of two keys says so, and not every model of Engage's has both.
fn is_redeemed(item: &Object<'_>) -> bool {
    let flag = item.flag("redeemed");
    flag.unwrap_or_else(|| item.filled("redeemedOn").is_some())
}

fn local_values(item: &Object<'_>, path: &str) -> Result<Vec<Money>, Error> {
    let Some(values) = item.get("localValues") else {
        return Ok(Vec::new());
    };
    all(objects(values, path)?, |money| exactly(&money, path))
}

fn money(value: &RawValue, path: &str) -> Result<Money, Error> {
    let money = Object::of(value).ok_or_else(|| Error::invalid(path))?;
    exactly(&money, path)
}

/// Money is read exactly or not at all.
fn exactly(money: &Object<'_>, path: &str) -> Result<Money, Error> {
    let read = || {
        Some(Money {
            amount: money.decimal("amount")?,
            currency: money.filled("currency")?,
        })
    };
    read().ok_or_else(|| Error::invalid(path))
}

pub(super) fn points(reader: &Reader, id: ContactId, value: &RawValue) -> Result<Points, Error> {
    let items = objects(value, "accounts")?;
    let accounts = all(items, |item| account(reader, id, &item))?;
    Ok(Points { accounts })
}

fn account(reader: &Reader, id: ContactId, item: &Object<'_>) -> Result<PointAccount, Error> {
    // Whose points they are can be seen here, and only here.
    if let Some(owner) = item.get("contactId") {
        let owner = text(owner).and_then(|owner| ContactId::parse(&owner));
        if owner != Some(id) {
            return Err(Error::IdentityMismatch);
        }
    }
    Ok(PointAccount {
        definition_id: item.filled("definitionId"),
        balance: item
            .decimal("balance")
            .ok_or_else(|| Error::invalid("accounts[].balance"))?,
        pending: item.decimal("pendingPoints"),
        expires_on: item
            .text("balanceExpires")
            .and_then(|text| reader.time(&text)),
    })
}

/// API v2 tells one balance, as an attribute [Voyado: points].
pub(super) fn overview_points(answer: &Object<'_>) -> Result<Option<Points>, Error> {
    let Some(attributes) = answer.object("attributes") else {
        return Ok(None);
    };
    let Some(balance) = attributes.text("bonusPoints") else {
        return Ok(None);
    };
    let balance = decimal(&balance).ok_or_else(|| Error::invalid("attributes.bonusPoints"))?;
    Ok(Some(Points {
        accounts: vec![PointAccount {
            definition_id: None,
            balance,
            pending: None,
            expires_on: None,
        }],
    }))
}
