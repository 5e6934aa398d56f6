//! How the simulated tenant is set up, and which of the disputed shapes it answers in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which attribute the tenant's custom key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CustomKey {
    /// Not set up: looking up by it answers 500 `InvalidSystemConfiguration`.
    Off,
    /// The attribute `memberNumber`.
    MemberNumber,
    /// The attribute `externalId`.
    ExternalId,
}

/// How v3 spells the vouchers of the overview; v2 always has bonus checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VoucherKey {
    /// `rewardVouchers` with `voucherNumber` and `points`.
    RewardVouchers,
    /// `bonusChecks` with `checkNumber` and `bonusPoints`.
    BonusChecks,
}

/// Everything that can be switched while the simulator runs.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) custom_key: CustomKey,
    pub(crate) voucher_key: VoucherKey,
    pub(crate) wrap_point_accounts: bool,
    pub(crate) page_cap: Option<usize>,
    pub(crate) is_forbidden: bool,
    pub(crate) overview_lag: Duration,
    /// How many contacts `/contacts/changes` lists at most.
    pub(crate) max_changes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            custom_key: CustomKey::MemberNumber,
            voucher_key: VoucherKey::RewardVouchers,
            wrap_point_accounts: false,
            page_cap: None,
            is_forbidden: false,
            overview_lag: Duration::ZERO,
            max_changes: 250_000,
        }
    }
}
