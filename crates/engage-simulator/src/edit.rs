//! Changing the world: what tests and the control API can do to a contact.

mod apply;
mod editor;

use serde::Deserialize;

pub(crate) use apply::{Change, apply};
pub use editor::ContactEditor;

use crate::json::Json;

/// A voucher to be given to a contact; what is left out is invented.
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
    /// What it is worth, as the text of a JSON number.
    pub amount: String,
    /// In which currency.
    #[serde(default = "default_currency")]
    pub currency: String,
    /// What it is worth elsewhere: currency and amount.
    #[serde(default)]
    pub local_values: Vec<(String, String)>,
    /// What it cost in points.
    #[serde(default = "default_points")]
    pub points: String,
    /// When it lapses; thirty days from now if not said.
    #[serde(default)]
    pub expires_on: Option<String>,
}

impl VoucherSeed {
    /// A voucher worth this much.
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

    /// With this id.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// With this number.
    #[must_use]
    pub fn number(mut self, number: &str) -> Self {
        self.number = Some(number.to_owned());
        self
    }

    /// With this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Lapsing then; written to the wire as given.
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

/// One change to one contact, as the control API spells it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Edit {
    /// The balance of definition 1.
    Points(String),
    /// The balance of a definition.
    PointsOf(u32, String),
    Attribute(String, Json),
    /// An attribute's key and a value by which the contact is found too, whatever it shows.
    AlsoFoundBy(String, String),
    AddVoucher(VoucherSeed),
    RemoveVoucher(String),
    RedeemVoucher(String),
    AddPromotion(Json),
    RemovePromotion(String),
    RedeemPromotion(String),
    Audiences(Json),
    Warnings(Json),
    /// Sets those that are named.
    Preferences(Json),
    /// All of them.
    Consents(Json),
    ContactType(String),
    Delete,
}
