//! The endpoints with current data: a contact, its parts, point definitions and changes.

use super::{
    ApiRequest, Version, VoucherScope,
    render::{self, Page},
};
use crate::{
    answer::{Answer, ApiError},
    clock::parse_instant,
    contact::Voucher,
    json::Json,
    world::ChangeType,
};

impl ApiRequest<'_> {
    pub(super) fn contact(&self, id: &str) -> Result<Answer, ApiError> {
        let contact = self.current(Some(id))?;
        Ok(Answer::ok(&render::contact(contact)))
    }

    pub(super) fn promotions(&self, id: &str) -> Result<Answer, ApiError> {
        let contact = self.current(Some(id))?;
        let channel = match self.parameter("redemptionChannelType") {
            None => None,
            Some(channel @ ("POS" | "ECOM" | "OTHER")) => Some(channel),
            Some(_) => return Err(ApiError::InvalidSearchQuery),
        };
        let is_requested = |promotion: &&Json| {
            channel.is_none_or(|channel| {
                let channels = promotion.get("redemptionChannels");
                let mut offered = channels.map_or(&[][..], Json::items).iter();
                offered.any(|offer| offer.text("type") == Some(channel))
            })
        };
        let promotions = contact.promotions.iter().filter(is_requested).cloned();
        Ok(Answer::ok(&Json::Array(promotions.collect())))
    }

    pub(super) fn vouchers(
        &self,
        scope: VoucherScope,
        in_path: Option<&str>,
    ) -> Result<Answer, ApiError> {
        let contact = self.current(in_path.or_else(|| self.parameter("contactId")))?;
        let page = self.page()?;
        let is_requested = |voucher: &&Voucher| match scope {
            VoucherScope::All => true,
            VoucherScope::Available => voucher.is_available(self.now),
            VoucherScope::Redeemed => voucher.redeemed_on.is_some(),
        };
        let with_state = scope != VoucherScope::Available;
        let items: Vec<Json> = contact
            .vouchers
            .iter()
            .filter(is_requested)
            .map(|voucher| match self.version {
                Version::V2 => render::bonus_check(voucher, with_state),
                Version::V3 => render::reward_voucher(voucher, with_state),
            })
            .collect();
        Ok(Answer::ok(&render::page(&items, page)))
    }

    pub(super) fn point_accounts(&self) -> Result<Answer, ApiError> {
        let contact = self.current(self.parameter("contactId"))?;
        let page = self.page()?;
        let items: Vec<Json> = contact
            .accounts
            .iter()
            .map(|account| render::point_account(self.version, &contact.id, account))
            .collect();
        // A bare array is always complete.
        if self.version == Version::V3 && !self.world.settings.wrap_point_accounts {
            return Ok(Answer::ok(&Json::Array(items)));
        }
        let mut body = render::page(&items, page);
        body.set("links", Json::Array(Vec::new()));
        Ok(Answer::ok(&body))
    }

    /// A bare array with one page of the definitions [Voyado: SDK of v2].
    pub(super) fn point_definitions(&self) -> Result<Answer, ApiError> {
        let page = self.page()?;
        let definitions = self.world.point_definitions.iter();
        let definitions = definitions.skip(page.offset).take(page.count);
        let items = definitions.map(|(id, definition)| render::point_definition(*id, definition));
        Ok(Answer::ok(&Json::Array(items.collect())))
    }

    pub(super) fn changes(&self) -> Result<Answer, ApiError> {
        let change = match self.parameter("changeType") {
            Some("Created") => ChangeType::Created,
            Some("Updated") => ChangeType::Updated,
            Some("Deleted") => ChangeType::Deleted,
            _ => return Err(ApiError::InvalidSearchQuery),
        };
        let date = |name| {
            let text = self.parameter(name).ok_or(ApiError::InvalidSearchQuery)?;
            parse_instant(text).ok_or(ApiError::InvalidSearchQuery)
        };
        let ids = self
            .world
            .changed(change, date("fromDate")?, date("toDate")?);
        if ids.len() > self.world.settings.max_changes {
            return Err(ApiError::TooManyChanges);
        }
        Ok(Answer::ok(&Json::from(ids)))
    }

    pub(super) fn page(&self) -> Result<Page, ApiError> {
        let number = |name, default| match self.parameter(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| ApiError::InvalidSearchQuery),
        };
        let cap = self.world.settings.page_cap.unwrap_or(usize::MAX);
        Ok(Page {
            offset: number("offset", 0)?,
            count: number("count", 100)?.min(cap),
        })
    }
}
