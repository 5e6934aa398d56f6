//! Something of each part of a customer, by the part's name.

use serde::Serialize;

use crate::domain::Part;

#[derive(Serialize)]
pub(super) struct PartsJson<T> {
    profile: Option<T>,
    audiences: Option<T>,
    promotions: Option<T>,
    vouchers: Option<T>,
    points: Option<T>,
}

impl<T> PartsJson<T> {
    pub(super) fn new(mut of: impl FnMut(Part) -> Option<T>) -> Self {
        Self {
            profile: of(Part::Profile),
            audiences: of(Part::Audiences),
            promotions: of(Part::Promotions),
            vouchers: of(Part::Vouchers),
            points: of(Part::Points),
        }
    }
}
