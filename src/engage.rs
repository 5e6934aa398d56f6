//! The back door: one method for each of Engage's operations that we use. The only room that knows
//! Engage's paths, spellings and statuses.

mod budget;
mod error;
mod exchange;
mod transport;
mod wire;

use std::sync::Arc;

pub use self::{
    budget::{Bucket, Budget, Permit},
    error::Error,
    exchange::{Answering, Exchange},
    wire::Reader,
};
use self::{transport::Transport, wire::Page};
use crate::{
    clock::Clock,
    config::{self, ApiVersion},
    domain::{
        ContactId, IdentifierKind, Lookup, Overview, Part, PartSet, Points, Profile, Promotions,
        Vouchers,
    },
};

/// How many items a page is asked for.
const PAGE: usize = 100;
/// How many pages are read at most: a thousand vouchers are a defect, not a customer.
const MAX_PAGES: usize = 10;

/// Asks Engage.
pub struct EngageClient {
    exchange: Box<dyn Exchange>,
    budget: Arc<Budget>,
    reader: Reader,
    version: ApiVersion,
}

impl EngageClient {
    /// A client for the configured Engage.
    pub fn new(
        config: &config::Engage,
        reader: Reader,
        clock: Clock,
    ) -> Result<Self, anyhow::Error> {
        let budget = Arc::new(Budget::new(
            clock.clone(),
            config.requests_per_second,
            config.burst,
            config.max_concurrency,
        ));
        let transport = Transport::new(config, clock, Arc::clone(&budget))?;
        Ok(Self::over(
            Box::new(transport),
            budget,
            reader,
            config.api_version,
        ))
    }

    /// A client whose questions are carried by `exchange`, within `budget`.
    pub fn over(
        exchange: Box<dyn Exchange>,
        budget: Arc<Budget>,
        reader: Reader,
        version: ApiVersion,
    ) -> Self {
        Self {
            exchange,
            budget,
            reader,
            version,
        }
    }

    /// The parts that the overview can tell: points only in API v2.
    pub fn overview_parts(&self) -> PartSet {
        match self.version {
            ApiVersion::V2 => PartSet::ALL,
            ApiVersion::V3 => PartSet::ALL.without(Part::Points.into()),
        }
    }

    /// Whether a call that nobody waits for may be made.
    pub fn has_room_to_spare(&self) -> bool {
        self.budget.has_room_to_spare()
    }

    /// Waits for the right to make a call.
    pub async fn admit(&self) -> Result<Permit, Error> {
        self.budget.admit().await
    }

    /// `/contactoverview`. May be a cached copy of Engage's own [Voyado: enriched profile].
    pub async fn overview(&self, permit: Permit, lookup: &Lookup) -> Result<Overview, Error> {
        let body = self.by_identifier("contactoverview", lookup).await?;
        drop(permit);
        self.reader.overview(&body)
    }

    /// `/contacts/id`: whom an identifier names now. A contact id names itself.
    pub async fn contact_id(&self, permit: Permit, lookup: &Lookup) -> Result<ContactId, Error> {
        let body = self.by_identifier("contacts/id", lookup).await?;
        drop(permit);
        Reader::contact_id(&body)
    }

    /// `/contacts/{id}`: the profile as it is now.
    pub async fn contact(&self, permit: Permit, id: ContactId) -> Result<Profile, Error> {
        let body = self.exchange.get(&format!("contacts/{id}"), &[]).await?;
        drop(permit);
        let (told, profile) = self.reader.contact(&body)?;
        if told == id {
            Ok(profile)
        } else {
            Err(Error::IdentityMismatch)
        }
    }

    /// `/contacts/{id}/promotions`: the promotions as they are now, redeemed ones among them.
    pub async fn promotions(&self, permit: Permit, id: ContactId) -> Result<Promotions, Error> {
        let path = format!("contacts/{id}/promotions");
        let body = self.exchange.get(&path, &[]).await?;
        drop(permit);
        self.reader.promotions(&body)
    }

    /// All pages of the vouchers that can be used now.
    pub async fn vouchers(&self, permit: Permit, id: ContactId) -> Result<Vouchers, Error> {
        let id = id.to_string();
        let (path, contact) = match self.version {
            ApiVersion::V3 => ("reward-vouchers/available".to_owned(), Some(id.as_str())),
            ApiVersion::V2 => (format!("contacts/{id}/bonuschecks/available"), None),
        };
        let read = |body: &[u8]| self.reader.vouchers(body);
        let append = |all: &mut Vouchers, mut page: Vouchers| all.append(&mut page);
        self.all_pages(permit, &path, contact, read, append).await
    }

    /// All point accounts.
    pub async fn points(&self, permit: Permit, id: ContactId) -> Result<Points, Error> {
        let read = |body: &[u8]| self.reader.points(id, body);
        let append = |all: &mut Points, mut page: Points| all.accounts.append(&mut page.accounts);
        let contact = id.to_string();
        self.all_pages(permit, "point-accounts", Some(&contact), read, append)
            .await
    }

    async fn by_identifier(&self, path: &str, lookup: &Lookup) -> Result<bytes::Bytes, Error> {
        let value = lookup.identifier.expose();
        let mut query = vec![(lookup.identifier.kind().as_str(), &*value)];
        if let Some(contact_type) = &lookup.contact_type {
            query.push(("contactType", contact_type.as_str()));
        }
        debug_assert!(
            path != "contacts/id" || lookup.identifier.kind() != IdentifierKind::ContactId
        );
        self.exchange.get(path, &query).await
    }

    async fn all_pages<T: Default>(
        &self,
        permit: Permit,
        path: &str,
        contact: Option<&str>,
        read: impl Fn(&[u8]) -> Result<Page<T>, Error>,
        append: impl Fn(&mut T, T),
    ) -> Result<T, Error> {
        let mut all = T::default();
        let mut offset = 0;
        for page_number in 0..MAX_PAGES {
            if page_number > 0 {
                self.budget.take_token().await?;
            }
            let offset_text = offset.to_string();
            let count_text = PAGE.to_string();
            let mut query: Vec<(&str, &str)> = Vec::new();
            query.extend(contact.map(|id| ("contactId", id)));
            query.extend([("offset", &*offset_text), ("count", &*count_text)]);
            let page = read(&self.exchange.get(path, &query).await?)?;
            offset += page.count;
            append(&mut all, page.items);
            let total = page.total.unwrap_or(offset);
            if page.count == 0 || offset >= total {
                drop(permit);
                return Ok(all);
            }
        }
        Err(Error::Invalid {
            path: "totalCount".into(),
        })
    }
}
