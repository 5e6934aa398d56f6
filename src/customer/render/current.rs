//! What has neither been redeemed nor expired, and what expires soon. Notes when time will change the answer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::json::ExpiringJson;
use crate::domain::{Channel, Decimal, Points, Promotion, Voucher};

/// The time of rendering, and the next moment at which the answer changes.
pub(super) struct Moments {
    now: Timestamp,
    window: Duration,
    changes_at: Timestamp,
}

impl Moments {
    /// `window`: how soon something must end to be expiring.
    pub(super) fn new(now: Timestamp, window: Duration) -> Self {
        Self {
            now,
            window,
            changes_at: Timestamp::MAX,
        }
    }

    /// The time of rendering.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// The first moment at which anything that was checked ends, or begins to expire soon.
    pub(super) fn changes_at(&self) -> Timestamp {
        self.changes_at
    }

    /// Whether something with that end has not ended; notes when it will.
    pub(super) fn is_current(&mut self, expires_on: Option<Timestamp>) -> bool {
        let Some(expires_on) = expires_on else {
            return true;
        };
        if expires_on <= self.now {
            return false;
        }
        self.changes_at = self.changes_at.min(expires_on);
        true
    }

    /// Whether something current ends within the window; notes when it will enter the window.
    fn ends_soon(&mut self, expires_on: Timestamp) -> bool {
        let window = SignedDuration::try_from(self.window).unwrap_or(SignedDuration::MAX);
        let enters = expires_on.saturating_sub(window).unwrap_or(Timestamp::MIN);
        if enters <= self.now {
            return true;
        }
        self.changes_at = self.changes_at.min(enters);
        false
    }
}

/// What can be used now, as far as it may be shown.
pub(super) struct Current<'a> {
    pub(super) vouchers: Option<Vec<&'a Voucher>>,
    pub(super) promotions: Option<Vec<&'a Promotion>>,
    pub(super) points: Option<&'a Points>,
}

/// The vouchers that can be used.
pub(super) fn vouchers<'a>(vouchers: &'a [Voucher], moments: &mut Moments) -> Vec<&'a Voucher> {
    vouchers
        .iter()
        .filter(|voucher| !voucher.redeemed && moments.is_current(voucher.expires_on))
        .collect()
}

/// The promotions that can be used in the channel: one without offers there is left out.
pub(super) fn promotions<'a>(
    promotions: &'a [Promotion],
    channel: Option<Channel>,
    moments: &mut Moments,
) -> Vec<&'a Promotion> {
    let in_channel = |promotion: &Promotion| {
        let mut offers = promotion.offers.iter();
        channel.is_none() || offers.any(|offer| offer.channel == channel)
    };
    promotions
        .iter()
        .filter(|promotion| {
            !promotion.redeemed && in_channel(promotion) && moments.is_current(promotion.expires_on)
        })
        .collect()
}

impl<'a> Current<'a> {
    /// What ends within the window, soonest first.
    pub(super) fn expiring_soon(&self, moments: &mut Moments) -> Vec<ExpiringJson<'a>> {
        let mut soon: Vec<(Timestamp, ExpiringJson<'a>)> = Vec::new();
        let mut add =
            |expires_on: Option<Timestamp>, kind, id: Option<&'a str>, name: Option<&'a str>| {
                if let Some(expires_on) = expires_on
                    && moments.is_current(Some(expires_on))
                    && moments.ends_soon(expires_on)
                {
                    soon.push((expires_on, ExpiringJson::of(kind, id, name, expires_on)));
                }
            };
        for voucher in self.vouchers.as_deref().unwrap_or_default() {
            let name = voucher.name.as_deref();
            add(voucher.expires_on, "voucher", Some(&voucher.id), name);
        }
        for promotion in self.promotions.as_deref().unwrap_or_default() {
            let name = promotion.heading.as_deref().or(promotion.name.as_deref());
            add(promotion.expires_on, "promotion", Some(&promotion.id), name);
        }
        for account in self.points.map_or(&[][..], |points| &points.accounts) {
            if account.balance > Decimal::ZERO {
                let id = account.definition_id.as_deref();
                add(account.expires_on, "points", id, account.name.as_deref());
            }
        }
        soon.sort_by_key(|(expires_on, _)| *expires_on);
        soon.into_iter().map(|(_, entry)| entry).collect()
    }
}
