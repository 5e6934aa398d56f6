//! The entity endpoints: one part of a contact each, as it is now.

use super::{Question, Version, VoucherScope, render};
use crate::{
    answer::{Answer, Refusal},
    clock::parse_instant,
    contact::Voucher,
    json::Json,
    world::ChangeType,
};

/// The part of a list that a page shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) offset: usize,
    pub(super) count: usize,
}

impl Question<'_> {
    pub(super) fn contact(&self, id: &str) -> Result<Answer, Refusal> {
        let contact = self.current(Some(id))?;
        Ok(Answer::ok(&render::contact(contact)))
    }

    pub(super) fn promotions(&self, id: &str) -> Result<Answer, Refusal> {
        let contact = self.current(Some(id))?;
        let channel = match self.parameter("redemptionChannelType") {
            None => None,
            Some(channel @ ("POS" | "ECOM" | "OTHER")) => Some(channel),
            Some(_) => return Err(Refusal::InvalidSearchQuery),
        };
        let is_asked = |promotion: &&Json| {
            channel.is_none_or(|channel| {
                let channels = promotion.get("redemptionChannels");
                let mut offered = channels.map_or(&[][..], Json::items).iter();
                offered.any(|offer| offer.text("type") == Some(channel))
            })
        };
        let promotions = contact.promotions.iter().filter(is_asked).cloned();
        Ok(Answer::ok(&Json::Array(promotions.collect())))
    }

    pub(super) fn vouchers(
        &self,
        scope: VoucherScope,
        in_path: Option<&str>,
    ) -> Result<Answer, Refusal> {
        let contact = self.current(in_path.or_else(|| self.parameter("contactId")))?;
        let page = self.page()?;
        let is_asked = |voucher: &&Voucher| match scope {
            VoucherScope::All => true,
            VoucherScope::Available => voucher.is_available(self.now),
            VoucherScope::Redeemed => voucher.redeemed_on.is_some(),
        };
        let with_state = scope != VoucherScope::Available;
        let items: Vec<Json> = contact
            .vouchers
            .iter()
            .filter(is_asked)
            .map(|voucher| match self.version {
                Version::V2 => render::bonus_check(voucher, with_state),
                Version::V3 => render::reward_voucher(voucher, with_state),
            })
            .collect();
        Ok(Answer::ok(&render::page(&items, page)))
    }

    pub(super) fn point_accounts(&self) -> Result<Answer, Refusal> {
        let contact = self.current(self.parameter("contactId"))?;
        let page = self.page()?;
        let items: Vec<Json> = contact
            .accounts
            .iter()
            .map(|account| render::point_account(self.version, &contact.id, account))
            .collect();
        // A bare array has no pages: it is always complete.
        if self.version == Version::V3 && !self.world.settings.wrap_point_accounts {
            return Ok(Answer::ok(&Json::Array(items)));
        }
        let mut body = render::page(&items, page);
        body.set("links", Json::Array(Vec::new()));
        Ok(Answer::ok(&body))
    }

    pub(super) fn changes(&self) -> Result<Answer, Refusal> {
        let change = match self.parameter("changeType") {
            Some("Created") => ChangeType::Created,
            Some("Updated") => ChangeType::Updated,
            Some("Deleted") => ChangeType::Deleted,
            _ => return Err(Refusal::InvalidSearchQuery),
        };
        let date = |name| {
            let text = self.parameter(name).ok_or(Refusal::InvalidSearchQuery)?;
            parse_instant(text).ok_or(Refusal::InvalidSearchQuery)
        };
        let ids = self
            .world
            .changed(change, date("fromDate")?, date("toDate")?);
        if ids.len() > self.world.settings.max_changes {
            return Err(Refusal::TooManyChanges);
        }
        Ok(Answer::ok(&Json::from(ids)))
    }

    fn page(&self) -> Result<Page, Refusal> {
        let number = |name, default| match self.parameter(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| Refusal::InvalidSearchQuery),
        };
        let cap = self.world.settings.page_cap.unwrap_or(usize::MAX);
        Ok(Page {
            offset: number("offset", 0)?,
            count: number("count", 100)?.min(cap),
        })
    }
}
