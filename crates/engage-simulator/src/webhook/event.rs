//! Engage's events and their payloads.

use crate::{
    contact::{Contact, PointAccount, Voucher},
    json::Json,
};

/// An event about one contact.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    payload: Json,
}

impl Event {
    /// An event whose payload has the contact id and further fields.
    pub(crate) fn new(name: &str, contact_id: &str, more: &[(&str, Json)]) -> Self {
        let mut payload = Json::object([("contactId", contact_id.into())]);
        for (key, value) in more {
            payload.set(key, value.clone());
        }
        Self {
            name: name.to_owned(),
            payload,
        }
    }

    pub(crate) fn balance_updated(contact_id: &str, account: &PointAccount) -> Self {
        let more = [
            ("accountId", Json::number(account.number)),
            ("balance", Json::number(&account.balance)),
            ("balanceExpires", account.expires.as_deref().into()),
            ("definitionId", Json::number(account.definition)),
        ];
        Self::new("point.balance.updated", contact_id, &more)
    }

    pub(crate) fn points_added(contact_id: &str, definition: u32, amount: &str) -> Self {
        let more = [
            ("amount", Json::number(amount)),
            ("pointDefinitionId", Json::number(definition)),
            ("source", "Manual".into()),
            ("description", "Added in the simulator".into()),
            ("userId", "simulator".into()),
            ("userName", "Simulator".into()),
            ("reason", "Edited".into()),
            ("sourceId", "simulator".into()),
        ];
        Self::new("loyalty.addPoints", contact_id, &more)
    }

    /// The one event whose payload is in Pascal case.
    pub(crate) fn voucher_created(contact_id: &str, voucher: &Voucher, now: &str) -> Self {
        Self {
            name: "reward.voucher.created".to_owned(),
            payload: Json::object([
                ("Amount", Json::number(&voucher.amount)),
                ("ContactId", contact_id.into()),
                ("Currency", voucher.currency.as_str().into()),
                ("Id", voucher.id.as_str().into()),
                ("UniqueCode", voucher.number.as_str().into()),
                ("ValidFrom", now.into()),
                ("ValidTo", voucher.expires_on.as_str().into()),
            ]),
        }
    }

    pub(crate) fn promotion_assigned(contact_id: &str, promotion: &Json) -> Self {
        let field = |key| promotion.get(key).cloned().unwrap_or(Json::Null);
        let more = [("promotionId", field("promotionId")), ("id", field("id"))];
        Self::new("promotion.multichannel.assigned", contact_id, &more)
    }

    pub(crate) fn preference_changed(contact_id: &str, preference: &str, value: &Json) -> Self {
        let name = format!("contact.{preference}.changed");
        Self::new(&name, contact_id, &[(preference, value.clone())])
    }

    pub(crate) fn consent_changed(contact_id: &str, consent: &Json) -> Self {
        let field = |key| consent.get(key).cloned().unwrap_or(Json::Null);
        let more = [("consentId", field("id")), ("value", field("value"))];
        Self::new("contact.consent.changed", contact_id, &more)
    }

    /// The event of this name about the current contact.
    pub(crate) fn about(name: &str, id: &str, contact: Option<&Contact>, now: &str) -> Self {
        let specific = contact.and_then(|contact| match name {
            "point.balance.updated" => {
                let account = contact.accounts.first()?;
                Some(Self::balance_updated(id, account))
            }
            "loyalty.addPoints" => Some(Self::points_added(id, 1, "25.5")),
            "reward.voucher.created" => {
                let voucher = contact.vouchers.first()?;
                Some(Self::voucher_created(id, voucher, now))
            }
            "promotion.multichannel.assigned" => {
                let promotion = contact.promotions.first()?;
                Some(Self::promotion_assigned(id, promotion))
            }
            "contact.consent.changed" => {
                let consent = contact.consents.items().first()?;
                Some(Self::consent_changed(id, consent))
            }
            _ => {
                let changed = name.strip_prefix("contact.")?.strip_suffix(".changed")?;
                let value = contact.preferences.get(changed)?;
                Some(Self::preference_changed(id, changed, value))
            }
        });
        specific.unwrap_or_else(|| match name {
            "reward.voucher.created" => Self {
                name: name.to_owned(),
                payload: Json::object([("ContactId", id.into())]),
            },
            _ => Self::new(name, id, &[]),
        })
    }

    /// The payload as JSON text.
    pub(super) fn payload(&self) -> String {
        self.payload.to_string()
    }

    /// The body of the delivery with an encrypted payload.
    pub(crate) fn encrypted_envelope(&self, event_id: &str, encrypted: &str) -> Json {
        let mut envelope = self.envelope(event_id);
        envelope.set("isEncrypted", true.into());
        envelope.set("payload", encrypted.into());
        envelope
    }

    /// The body of the delivery. The key of the event's id differs between events.
    pub(crate) fn envelope(&self, event_id: &str) -> Json {
        let id_key = match self.name.as_str() {
            "loyalty.addPoints" => "id",
            _ => "eventId",
        };
        Json::object([
            (id_key, event_id.into()),
            ("eventType", self.name.as_str().into()),
            ("isEncrypted", false.into()),
            ("payload", self.payload.clone()),
            ("tenant", "exampletenant".into()),
        ])
    }
}
