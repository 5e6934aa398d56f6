//! The simulated endpoints of Engage.

use serde::{Deserialize, Serialize};

/// A simulated endpoint, in either API version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Endpoint {
    /// Every endpoint; never the endpoint of a call.
    All,
    /// `GET /contactoverview`
    Overview,
    /// `GET /contacts/id`
    ContactIdLookup,
    /// `GET /contacts/{id}`
    Contact,
    /// `GET /contacts/{id}/promotions`
    Promotions,
    /// `GET /reward-vouchers...` (v3) or `GET /contacts/{id}/bonuschecks...` (v2), except for redeemed ones
    Vouchers,
    /// `GET /point-accounts`
    PointAccounts,
    /// `GET /point-accounts/definitions`
    PointDefinitions,
    /// `GET /point-transactions` (v3) or `GET /contacts/{id}/bonuspointtransactions` (v2)
    PointTransactions,
    /// `GET /reward-vouchers/redeemed` (v3) or `GET /contacts/{id}/bonuschecks/redeemed` (v2)
    RedeemedVouchers,
    /// `GET /contacts/{id}/purchasehistorysummary`
    Purchases,
    /// `GET /contacts/changes`
    Changes,
    /// `GET /target-audiences`
    TargetAudiences,
}

impl Endpoint {
    /// Each endpoint once, without `All`.
    pub const EACH: [Self; 12] = [
        Self::Overview,
        Self::ContactIdLookup,
        Self::Contact,
        Self::Promotions,
        Self::Vouchers,
        Self::PointAccounts,
        Self::PointDefinitions,
        Self::PointTransactions,
        Self::RedeemedVouchers,
        Self::Purchases,
        Self::Changes,
        Self::TargetAudiences,
    ];

    /// Whether a rule for `self` applies to a call to `called`.
    pub fn covers(self, called: Self) -> bool {
        self == Self::All || self == called
    }
}
