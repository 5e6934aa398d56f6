//! A contact of the simulated tenant, with all of its data.

use jiff::Timestamp;

use crate::{clock::parse_instant, identifier::Identifier, json::Json};

/// One version of a contact. Edits create a new version, see the world's history.
#[derive(Debug, Clone)]
pub(crate) struct Contact {
    pub(crate) id: String,
    pub(crate) attributes: Json,
    pub(crate) meta: Json,
    pub(crate) preferences: Json,
    pub(crate) consents: Json,
    pub(crate) warnings: Json,
    pub(crate) audiences: Json,
    pub(crate) vouchers: Vec<Voucher>,
    /// As written by Engage; only `id`, `redeemed`, `expiresOn` and the channels are interpreted.
    pub(crate) promotions: Vec<Json>,
    pub(crate) accounts: Vec<PointAccount>,
    pub(crate) transactions: Vec<Transaction>,
    /// The summary of purchases, null without one.
    pub(crate) purchases: Json,
    /// Fields that a later release of Engage adds to the overview and to the contact.
    pub(crate) extra: Vec<(String, Json)>,
    /// Further identifiers that lead to the contact, as a collation or a lagging index of Engage could cause.
    pub(crate) also_found_by: Vec<Identifier>,
}

/// A reward voucher (v3) or bonus check (v2).
#[derive(Debug, Clone)]
pub(crate) struct Voucher {
    pub(crate) id: String,
    pub(crate) number: String,
    pub(crate) name: String,
    pub(crate) expires_on: String,
    pub(crate) redeemed_on: Option<String>,
    /// How often it was made available again after it had been redeemed.
    pub(crate) reactivations: u32,
    pub(crate) amount: String,
    pub(crate) currency: String,
    pub(crate) local_values: Vec<(String, String)>,
    pub(crate) points: String,
}

/// How often a voucher can be reactivated, in a tenant with the default settings.
const MAX_REACTIVATIONS: u32 = 3;

impl Voucher {
    /// Makes a redeemed voucher that has not expired available again. No event reports it.
    pub(crate) fn reactivate(&mut self, now: Timestamp) -> Result<(), String> {
        let refusal = if self.redeemed_on.is_none() {
            "RewardVoucherAlreadyActivated"
        } else if is_past(Some(&self.expires_on), now) {
            "RewardVoucherExpired"
        } else if self.reactivations >= MAX_REACTIVATIONS {
            "the voucher was reactivated three times"
        } else {
            self.redeemed_on = None;
            self.reactivations += 1;
            return Ok(());
        };
        Err(refusal.to_owned())
    }

    pub(crate) fn is_available(&self, now: Timestamp) -> bool {
        self.redeemed_on.is_none() && !is_past(Some(&self.expires_on), now)
    }
}

/// A contact's balance of one point definition.
#[derive(Debug, Clone)]
pub(crate) struct PointAccount {
    /// The id in v3.
    pub(crate) guid: String,
    /// The id in v2 and in webhooks.
    pub(crate) number: u64,
    pub(crate) definition: u32,
    pub(crate) balance: String,
    pub(crate) pending: String,
    pub(crate) expires: Option<String>,
}

/// A change of a contact's points.
#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    /// The definition of its account.
    pub(crate) definition: u32,
    /// As v3 writes it.
    pub(crate) item: Json,
}

impl Contact {
    pub(crate) fn contact_type(&self) -> &str {
        self.meta.text("contactType").unwrap_or_default()
    }

    /// The promotions in the overview: neither redeemed nor expired.
    pub(crate) fn live_promotions(&self, now: Timestamp) -> Vec<Json> {
        let is_live = |promotion: &&Json| {
            !promotion.is_true("redeemed") && !is_past(promotion.text("expiresOn"), now)
        };
        self.promotions.iter().filter(is_live).cloned().collect()
    }

    pub(crate) fn balance(&self, definition: u32) -> Option<&str> {
        let mut accounts = self.accounts.iter();
        accounts
            .find(|account| account.definition == definition)
            .map(|account| account.balance.as_str())
    }
}

fn is_past(date: Option<&str>, now: Timestamp) -> bool {
    date.and_then(parse_instant).is_some_and(|at| at <= now)
}
