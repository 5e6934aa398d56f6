//! Groups of endpoints.

use crate::domain::listed_enum::{listed_enum, listed_enum_map};

listed_enum! {
    /// A group of endpoints that fail together and share a circuit breaker.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[repr(u8)]
    pub enum Group {
        /// `/contactoverview`.
        Overview => "overview",
        /// `/contacts/id` and `/contacts/{id}`.
        Contacts => "contacts",
        /// `/contacts/{id}/promotions`.
        Promotions => "promotions",
        /// `/reward-vouchers/available`; in v2 `/contacts/{id}/bonuschecks/available`.
        Vouchers => "vouchers",
        /// `/point-accounts`.
        Points => "points",
        /// `/point-accounts/definitions`.
        PointDefinitions => "point_definitions",
        /// `/point-transactions`, after `/point-accounts` if the accounts are not known; in v2
        /// `/contacts/{id}/bonuspointtransactions`.
        PointTransactions => "point_transactions",
        /// `/reward-vouchers/redeemed`; in v2 `/contacts/{id}/bonuschecks/redeemed`.
        RedeemedVouchers => "redeemed_vouchers",
        /// `/contacts/{id}/purchasehistorysummary`.
        Purchases => "purchases",
        /// `/contacts/changes`, which is not enabled for every tenant.
        Changes => "changes",
    }
}

listed_enum_map! {
    /// One value for each group.
    pub(super) struct GroupMap of Group
}
