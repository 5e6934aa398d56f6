//! Selects what has neither been redeemed nor expired, and what expires soon. Finds the next moment at which the
//! passing of time changes the response.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    json::{AmountJson, ExpiringJson},
    time::rfc_3339,
};
use crate::domain::{Channel, Decimal, PointAccount, Points, Promotion, Voucher};

/// The time of rendering, and the next moment at which the response changes.
pub(super) struct Moments {
    now: Timestamp,
    window: Duration,
    changes_at: Timestamp,
}

impl Moments {
    /// `window`: an item expires soon if it ends within this time.
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

    /// Whether something with this end is still valid. Records the moment at which it ends.
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

    /// Whether something valid ends within the window. If not, records the moment at which it will enter the window.
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

/// What can be used now and may be shown.
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

/// The promotions that can be used in the channel; a promotion without an offer in the channel is left out.
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
    /// What ends within the window, soonest first. `None` unless all parts that the list is made of are known.
    pub(super) fn expiring_soon(&self, moments: &mut Moments) -> Option<Vec<ExpiringJson<'a>>> {
        let (vouchers, promotions) = (self.vouchers.as_ref()?, self.promotions.as_ref()?);
        let accounts = self.points?.accounts.iter();
        let accounts = accounts.filter(|account| account.balance > Decimal::ZERO);
        let vouchers = vouchers.iter().map(|it| (it.expires_on, voucher_json(it)));
        let promotions = promotions
            .iter()
            .map(|it| (it.expires_on, promotion_json(it)));
        let accounts = accounts.map(|it| (it.expires_on, account_json(it)));
        let items = vouchers.chain(promotions).chain(accounts);
        let mut soon: Vec<(Timestamp, ExpiringJson<'a>)> = items
            .filter_map(|(expires_on, item)| {
                let expires_on = expires_on?;
                if !(moments.is_current(Some(expires_on)) && moments.ends_soon(expires_on)) {
                    return None;
                }
                let item = ExpiringJson {
                    expires_on: rfc_3339(expires_on),
                    ..item
                };
                Some((expires_on, item))
            })
            .collect();
        soon.sort_by_key(|(expires_on, _)| *expires_on);
        Some(soon.into_iter().map(|(_, entry)| entry).collect())
    }
}

fn voucher_json(voucher: &Voucher) -> ExpiringJson<'_> {
    ExpiringJson {
        kind: "voucher",
        id: Some(&voucher.id),
        code: voucher.code.as_deref(),
        name: voucher.name.as_deref(),
        amount: voucher
            .value
            .as_ref()
            .map(|value| AmountJson::Money(value.into())),
        ..ExpiringJson::default()
    }
}

fn promotion_json(promotion: &Promotion) -> ExpiringJson<'_> {
    ExpiringJson {
        kind: "promotion",
        id: Some(&promotion.id),
        name: promotion.heading.as_deref().or(promotion.name.as_deref()),
        ..ExpiringJson::default()
    }
}

/// Points have no id of their own that a caller could use, so the id is their definition's.
fn account_json(account: &PointAccount) -> ExpiringJson<'_> {
    ExpiringJson {
        kind: "points",
        id: account.definition_id.as_deref(),
        definition_id: account.definition_id.as_deref(),
        name: account.name.as_deref(),
        amount: Some(AmountJson::Points(account.balance)),
        ..ExpiringJson::default()
    }
}
