//! Chainable edits of one contact.

use serde_json::Value;

use super::{Edit, VoucherSeed};
use crate::Simulator;

/// Edits one contact; every call applies at once.
///
/// Panics if the contact or the edited item does not exist, because then the test is wrong.
#[derive(Debug, Clone)]
pub struct ContactEditor {
    engage: Simulator,
    id: String,
}

#[expect(
    clippy::return_self_not_must_use,
    reason = "each edit has been applied when it returns; the chain is a convenience"
)]
impl ContactEditor {
    pub(crate) fn new(engage: Simulator, id: &str) -> Self {
        Self {
            engage,
            id: id.to_ascii_lowercase(),
        }
    }

    /// The contact's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sets the balance of definition 1, sent verbatim.
    #[track_caller]
    pub fn points(self, balance: &str) -> Self {
        self.apply(Edit::Points(balance.to_owned()))
    }

    /// Sets the balance of a definition.
    #[track_caller]
    pub fn points_of(self, definition: u32, balance: &str) -> Self {
        self.apply(Edit::PointsOf(definition, balance.to_owned()))
    }

    /// Sets any attribute.
    #[track_caller]
    pub fn attribute(self, key: &str, value: Value) -> Self {
        self.apply(Edit::Attribute(key.to_owned(), value.into()))
    }

    /// Lets this value of an attribute lead to the contact as well, as a collation or a lagging index of Engage could
    /// cause.
    #[track_caller]
    pub fn also_found_by(self, key: &str, value: &str) -> Self {
        self.apply(Edit::AlsoFoundBy(key.to_owned(), value.to_owned()))
    }

    /// Sets the e-mail address.
    #[track_caller]
    pub fn email(self, email: &str) -> Self {
        self.attribute("email", email.into())
    }

    /// Adds a voucher.
    #[track_caller]
    pub fn add_voucher(self, voucher: VoucherSeed) -> Self {
        self.apply(Edit::AddVoucher(voucher))
    }

    /// Removes a voucher without a trace.
    #[track_caller]
    pub fn remove_voucher(self, id: &str) -> Self {
        self.apply(Edit::RemoveVoucher(id.to_owned()))
    }

    /// Redeems a voucher; Engage sends no event.
    #[track_caller]
    pub fn redeem_voucher(self, id: &str) -> Self {
        self.apply(Edit::RedeemVoucher(id.to_owned()))
    }

    /// Adds a point transaction as v3 writes it, without a webhook; missing fields are added.
    #[track_caller]
    pub fn add_transaction(self, transaction: Value) -> Self {
        self.apply(Edit::AddTransaction(transaction.into()))
    }

    /// Sets the summary of purchases; null for none.
    #[track_caller]
    pub fn purchases(self, purchases: Value) -> Self {
        self.apply(Edit::Purchases(purchases.into()))
    }

    /// Makes a redeemed voucher available again, three times at most; Engage sends no event.
    #[track_caller]
    pub fn reactivate_voucher(self, id: &str) -> Self {
        self.apply(Edit::ReactivateVoucher(id.to_owned()))
    }

    /// Assigns a promotion; missing fields are added.
    #[track_caller]
    pub fn add_promotion(self, promotion: Value) -> Self {
        self.apply(Edit::AddPromotion(promotion.into()))
    }

    /// Removes a promotion.
    #[track_caller]
    pub fn remove_promotion(self, id: &str) -> Self {
        self.apply(Edit::RemovePromotion(id.to_owned()))
    }

    /// Redeems a promotion; it stays in the entity list.
    #[track_caller]
    pub fn redeem_promotion(self, id: &str) -> Self {
        self.apply(Edit::RedeemPromotion(id.to_owned()))
    }

    /// Replaces the audiences, `[{"id":…,"name":…}]`; Engage sends no event.
    #[track_caller]
    pub fn audiences(self, audiences: Value) -> Self {
        self.apply(Edit::Audiences(audiences.into()))
    }

    /// Replaces the warnings, `[{"id":…,"message":…}]`; Engage sends no event.
    #[track_caller]
    pub fn warnings(self, warnings: Value) -> Self {
        self.apply(Edit::Warnings(warnings.into()))
    }

    /// Sets the given preferences, `{"acceptsEmail":false}`.
    #[track_caller]
    pub fn preferences(self, preferences: Value) -> Self {
        self.apply(Edit::Preferences(preferences.into()))
    }

    /// Replaces the consents, `[{"id":…,"value":…,"date":…}]`.
    #[track_caller]
    pub fn consents(self, consents: Value) -> Self {
        self.apply(Edit::Consents(consents.into()))
    }

    /// Sets `meta.contactType`, as `updateContactType` does: the contact keeps its identifiers. A new type becomes
    /// valid.
    #[track_caller]
    pub fn contact_type(self, contact_type: &str) -> Self {
        self.apply(Edit::ContactType(contact_type.to_owned()))
    }

    /// Deletes the contact.
    #[track_caller]
    pub fn delete(self) -> Self {
        self.apply(Edit::Delete)
    }

    #[track_caller]
    fn apply(self, edit: Edit) -> Self {
        if let Err(reason) = self.engage.edit(&self.id, edit) {
            panic!("cannot edit contact {}: {reason}", self.id);
        }
        self
    }
}
