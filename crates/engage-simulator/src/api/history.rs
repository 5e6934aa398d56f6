//! A contact's history: point transactions and the summary of purchases. Redeemed vouchers are handled with the
//! vouchers.

use super::{ApiRequest, Version, render};
use crate::{
    answer::{Answer, ApiError},
    clock::parse_instant,
    contact::{Contact, Transaction},
    json::Json,
};

impl ApiRequest<'_> {
    /// The transactions, in the order in which they were added.
    pub(super) fn point_transactions(&self, in_path: Option<&str>) -> Result<Answer, ApiError> {
        let page = self.page()?;
        if self.version == Version::V2 {
            let contact = self.current(in_path)?;
            let transactions = contact.transactions.iter().map(v2_transaction);
            return Ok(Answer::ok(&render::page(
                &transactions.collect::<Vec<_>>(),
                page,
            )));
        }
        let (contact, definition) = self.account()?;
        let filter = self.parameter("filter").unwrap_or("All");
        let is_pending = |transaction: &Transaction| {
            let valid_from = transaction.item.text("validFrom").and_then(parse_instant);
            valid_from.is_some_and(|valid_from| valid_from > self.now)
        };
        let is_requested = |transaction: &&Transaction| {
            let is_filtered = match filter {
                "Active" => !is_pending(transaction),
                "Pending" => is_pending(transaction),
                _ => true,
            };
            transaction.definition == definition && is_filtered
        };
        if !matches!(filter, "All" | "Active" | "Pending") {
            return Err(ApiError::InvalidSearchQuery);
        }
        let transactions = contact.transactions.iter().filter(is_requested);
        let items: Vec<Json> = transactions.map(|one| one.item.clone()).collect();
        let shown = render::page(&items, page);
        // The key of the items begins with a capital letter here, unlike in every other list.
        let mut body = Json::object([]);
        for (key, value) in shown.fields() {
            body.set(if key == "items" { "Items" } else { key }, value.clone());
        }
        body.set("links", Json::Array(Vec::new()));
        Ok(Answer::ok(&body))
    }

    /// The account named in the query: by its id, or by contact and definition.
    fn account(&self) -> Result<(&Contact, u32), ApiError> {
        if let Some(account) = self.parameter("accountId") {
            let mut contacts = self.world.ids().into_iter();
            let found = contacts.find_map(|id| {
                let contact = self.world.current(&id)?;
                let mut accounts = contact.accounts.iter();
                let found = accounts.find(|known| known.guid == account)?;
                Some((contact.as_ref(), found.definition))
            });
            return found.ok_or(ApiError::InvalidSearchQuery);
        }
        let contact = self.current(self.parameter("contactId"))?;
        let definition = self.parameter("definitionId");
        let definition = definition.and_then(|definition| definition.parse().ok());
        Ok((contact, definition.ok_or(ApiError::InvalidSearchQuery)?))
    }

    pub(super) fn purchases(&self, id: &str) -> Result<Answer, ApiError> {
        match &self.current(Some(id))?.purchases {
            Json::Null => Err(ApiError::RetailKpiNotCalculated),
            purchases => Ok(Answer::ok(purchases)),
        }
    }
}

fn v2_transaction(transaction: &Transaction) -> Json {
    let item = &transaction.item;
    let value = |key: &str| item.get(key).cloned().unwrap_or(Json::Null);
    let source = item.text("source").unwrap_or_default();
    Json::object([
        ("amount", value("amount")),
        ("transactionDateTime", value("transactionDate")),
        ("description", value("description")),
        ("type", format!("From{source}").into()),
        ("id", value("id")),
        (
            "automationBonusAdjustmentReason",
            (source == "Automation").then_some("From automation").into(),
        ),
    ])
}
