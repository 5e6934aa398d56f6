//! Which requests the log shows.

use crate::customer::view::View;

/// Which requests are logged at info in addition to those that always are, and which are audited.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogRules {
    /// Every request of a caller is logged, hits and delivered webhooks too.
    pub access_log: bool,
    /// Look-ups in the storefront view are audited, too.
    pub audits_storefront: bool,
}

impl LogRules {
    /// Whether look-ups in the view are audited.
    pub(super) fn audits(self, view: View) -> bool {
        view == View::Full || self.audits_storefront
    }
}
