//! Shapes of Engage's responses, by version.

use jiff::Timestamp;

use super::{ApiRequest, Version};
use crate::{
    answer::Answer,
    contact::{Contact, PointAccount, Voucher},
    json::Json,
    seed::AUDIENCES,
    settings::VoucherKey,
    world::PointDefinition,
};

/// Offset and size of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) offset: usize,
    pub(super) count: usize,
}

pub(super) fn overview(request: &ApiRequest<'_>, contact: &Contact, at: Timestamp) -> Answer {
    let settings = &request.world.settings;
    let mut body = self::contact(contact);
    if request.version == Version::V2 {
        let mut attributes = contact.attributes.clone();
        let balance = contact.balance(1).unwrap_or("0");
        attributes.set("bonusPoints", Json::number(balance));
        body.set("attributes", attributes);
    }
    body.set("warnings", contact.warnings.clone());
    body.set("audiences", contact.audiences.clone());
    let as_checks =
        request.version == Version::V2 || settings.voucher_key == VoucherKey::BonusChecks;
    let available = contact.vouchers.iter().filter(|v| v.is_available(at));
    if as_checks {
        let checks = available.map(|v| bonus_check(v, true)).collect();
        body.set("bonusChecks", Json::Array(checks));
    } else {
        let vouchers = available.map(|v| reward_voucher(v, false)).collect();
        body.set("rewardVouchers", Json::Array(vouchers));
    }
    body.set("promotions", Json::Array(contact.live_promotions(at)));
    Answer::ok(&body)
}

/// The contact alone, without promotions, vouchers, audiences, warnings and points.
pub(super) fn contact(contact: &Contact) -> Json {
    let mut body = Json::object([
        ("id", contact.id.as_str().into()),
        ("attributes", contact.attributes.clone()),
        ("meta", contact.meta.clone()),
        ("preferences", contact.preferences.clone()),
        ("consents", contact.consents.clone()),
    ]);
    for (key, value) in &contact.extra {
        body.set(key, value.clone());
    }
    body
}

/// All data of a contact with v3's keys, including redeemed and expired items.
pub(crate) fn full_data(contact: &Contact) -> Json {
    let mut body = self::contact(contact);
    body.set("warnings", contact.warnings.clone());
    body.set("audiences", contact.audiences.clone());
    let vouchers = contact.vouchers.iter().map(|v| reward_voucher(v, true));
    body.set("vouchers", Json::Array(vouchers.collect()));
    body.set("promotions", Json::Array(contact.promotions.clone()));
    let accounts = contact.accounts.iter();
    let accounts = accounts.map(|account| point_account(Version::V3, &contact.id, account));
    body.set("pointAccounts", Json::Array(accounts.collect()));
    let transactions = contact.transactions.iter();
    let transactions = transactions.map(|transaction| transaction.item.clone());
    body.set("pointTransactions", Json::Array(transactions.collect()));
    body.set("purchases", contact.purchases.clone());
    body
}

pub(super) fn reward_voucher(voucher: &Voucher, with_state: bool) -> Json {
    voucher_item(voucher, "voucherNumber", "points", with_state)
}

pub(super) fn bonus_check(voucher: &Voucher, with_state: bool) -> Json {
    voucher_item(voucher, "checkNumber", "bonusPoints", with_state)
}

fn voucher_item(voucher: &Voucher, number: &str, points: &str, with_state: bool) -> Json {
    let money = |amount: &str, currency: &str| {
        Json::object([
            ("currency", currency.into()),
            ("amount", Json::number(amount)),
        ])
    };
    let local_values = voucher
        .local_values
        .iter()
        .map(|(currency, amount)| money(amount, currency))
        .collect();
    let mut item = Json::object([
        ("id", voucher.id.as_str().into()),
        (number, voucher.number.as_str().into()),
        ("name", voucher.name.as_str().into()),
        ("expiresOn", voucher.expires_on.as_str().into()),
        ("value", money(&voucher.amount, &voucher.currency)),
        ("localValues", Json::Array(local_values)),
        (points, Json::number(&voucher.points)),
    ]);
    if with_state {
        item.set("redeemedOn", voucher.redeemed_on.as_deref().into());
        item.set("redeemed", voucher.redeemed_on.is_some().into());
    }
    item
}

pub(super) fn point_account(version: Version, contact_id: &str, account: &PointAccount) -> Json {
    let (id, href) = match version {
        Version::V2 => (
            Json::number(account.number),
            format!("/api/v2/point-accounts/{}", account.number),
        ),
        Version::V3 => (
            account.guid.as_str().into(),
            format!("/api/v3/point-accounts/{}", account.guid),
        ),
    };
    let link = Json::object([
        ("href", href.into()),
        ("method", "GET".into()),
        ("rel", "self".into()),
    ]);
    Json::object([
        ("id", id),
        ("contactId", contact_id.into()),
        ("definitionId", Json::number(account.definition)),
        ("balance", Json::number(&account.balance)),
        ("balanceExpires", account.expires.as_deref().into()),
        ("pendingPoints", Json::number(&account.pending)),
        ("links", Json::Array(vec![link])),
    ])
}

/// A page; its `count` is the number of items in it.
pub(super) fn page(items: &[Json], page: Page) -> Json {
    let shown: Vec<Json> = items
        .iter()
        .skip(page.offset)
        .take(page.count)
        .cloned()
        .collect();
    Json::object([
        ("count", Json::number(shown.len())),
        ("offset", Json::number(page.offset)),
        ("items", Json::Array(shown)),
        ("totalCount", Json::number(items.len())),
    ])
}

pub(super) fn point_definition(id: u32, definition: &PointDefinition) -> Json {
    Json::object([
        ("id", Json::number(id)),
        ("name", definition.name.as_str().into()),
        ("description", definition.description.as_str().into()),
        ("links", Json::Array(Vec::new())),
    ])
}

pub(super) fn target_audiences() -> Answer {
    let audiences = AUDIENCES
        .iter()
        .map(|(id, name)| Json::object([("id", (*id).into()), ("name", (*name).into())]))
        .collect();
    Answer::ok(&Json::Array(audiences))
}
