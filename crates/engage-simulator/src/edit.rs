//! Edits of contacts, by tests and the control API.

mod apply;
mod editor;
mod history;

use serde::Deserialize;

pub(crate) use apply::{Change, apply};
pub use editor::ContactEditor;

use crate::json::Json;

/// A voucher to add; missing fields are generated.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VoucherSeed {
    /// Its GUID.
    #[serde(default)]
    pub id: Option<String>,
    /// Its number, a string of digits.
    #[serde(default)]
    pub number: Option<String>,
    /// Its name.
    #[serde(default = "default_name")]
    pub name: String,
    /// Its value, as the text of a JSON number.
    pub amount: String,
    /// Its currency.
    #[serde(default = "default_currency")]
    pub currency: String,
    /// Its value in other currencies: currency and amount.
    #[serde(default)]
    pub local_values: Vec<(String, String)>,
    /// Points spent on it.
    #[serde(default = "default_points")]
    pub points: String,
    /// End of validity; thirty days from now by default.
    #[serde(default)]
    pub expires_on: Option<String>,
}

impl VoucherSeed {
    /// A voucher of this value.
    pub fn worth(amount: &str, currency: &str) -> Self {
        Self {
            id: None,
            number: None,
            name: default_name(),
            amount: amount.to_owned(),
            currency: currency.to_owned(),
            local_values: Vec::new(),
            points: default_points(),
            expires_on: None,
        }
    }

    /// Sets the id.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// Sets the number.
    #[must_use]
    pub fn number(mut self, number: &str) -> Self {
        self.number = Some(number.to_owned());
        self
    }

    /// Sets the name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Sets the end of validity, sent verbatim.
    #[must_use]
    pub fn expires_on(mut self, date: &str) -> Self {
        self.expires_on = Some(date.to_owned());
        self
    }
}

fn default_name() -> String {
    "Bonus check".to_owned()
}

fn default_currency() -> String {
    "SEK".to_owned()
}

fn default_points() -> String {
    "0".to_owned()
}

/// An edit of one contact, as in the control API.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Edit {
    /// The balance of definition 1.
    Points(String),
    /// The balance of a definition.
    PointsOf(u32, String),
    Attribute(String, Json),
    /// An attribute's key and a value that leads to the contact as well, whatever the attribute's own value is.
    AlsoFoundBy(String, String),
    AddVoucher(VoucherSeed),
    RemoveVoucher(String),
    RedeemVoucher(String),
    /// A point transaction as v3 writes it; missing fields are generated. `definitionId` is 1 by default.
    AddTransaction(Json),
    /// The summary of purchases; null for none.
    Purchases(Json),
    /// Makes a redeemed voucher available again.
    ReactivateVoucher(String),
    AddPromotion(Json),
    RemovePromotion(String),
    RedeemPromotion(String),
    Audiences(Json),
    Warnings(Json),
    /// Sets the preferences that are given; the others stay.
    Preferences(Json),
    /// Replaces all consents.
    Consents(Json),
    ContactType(String),
    Delete,
}
