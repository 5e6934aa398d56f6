//! Settings of the simulated tenant, including which of the disputed response shapes it uses.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The attribute of the tenant's custom key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CustomKey {
    /// No attribute: a look-up by custom key answers 500 `InvalidSystemConfiguration`.
    Off,
    /// The attribute `memberNumber`.
    MemberNumber,
    /// The attribute `externalId`.
    ExternalId,
}

/// Key of the vouchers in v3's overview; v2 always has bonus checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VoucherKey {
    /// `rewardVouchers` with `voucherNumber` and `points`.
    RewardVouchers,
    /// `bonusChecks` with `checkNumber` and `bonusPoints`.
    BonusChecks,
}

/// Settings that can be changed at run time.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) custom_key: CustomKey,
    pub(crate) voucher_key: VoucherKey,
    pub(crate) wrap_point_accounts: bool,
    pub(crate) page_cap: Option<usize>,
    pub(crate) is_forbidden: bool,
    /// The API keys that are accepted; if empty, the key that the simulator was started with.
    pub(crate) api_keys: Vec<String>,
    pub(crate) overview_lag: Duration,
    /// Maximum number of contacts in `/contacts/changes`.
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
            api_keys: Vec::new(),
            overview_lag: Duration::ZERO,
            max_changes: 250_000,
        }
    }
}
