//! The back door: one method for each of Engage's operations that we use. The only room that knows
//! Engage's paths, spellings and statuses.

mod admission;
mod error;
mod exchange;
mod omissions;
mod pages;
mod resolver;
mod traffic;
mod transport;
mod wire;

use std::{collections::HashSet, time::Duration};

use jiff::{SignedDuration, Timestamp};

pub use self::{
    admission::{Admission, BreakerState, Demand, Limits, NO_OWNER, Permit, Snapshot},
    error::Error,
    exchange::{Answering, Exchange},
    traffic::Traffic,
    wire::{Changes, Reader},
};
use self::{omissions::Omissions, transport::Transport};
use crate::{
    clock::Clock,
    config::{self, ApiVersion},
    domain::{
        ContactId, IdentifierKind, Lookup, Overview, Part, PartSet, Points, Profile, Promotions,
        Readable, Vouchers,
    },
};

/// How often one question is asked at most, whatever is said to be the matter.
const MAX_ATTEMPTS: u32 = 3;

/// Endpoints that fail together: each group has a breaker of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Group {
    /// `/contactoverview`.
    Overview = 0,
    /// `/contacts/id` and `/contacts/{id}`.
    Contacts = 1,
    /// `/contacts/{id}/promotions`.
    Promotions = 2,
    /// `/reward-vouchers/available`; in v2 `/contacts/{id}/bonuschecks/available`.
    Vouchers = 3,
    /// `/point-accounts`.
    Points = 4,
    /// `/contacts/changes`, which not every tenant has.
    Changes = 5,
}

impl Group {
    /// Every group.
    pub const ALL: [Group; 6] = [
        Group::Overview,
        Group::Contacts,
        Group::Promotions,
        Group::Vouchers,
        Group::Points,
        Group::Changes,
    ];

    /// The name in metrics and in the readiness detail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Group::Overview => "overview",
            Group::Contacts => "contacts",
            Group::Promotions => "promotions",
            Group::Vouchers => "vouchers",
            Group::Points => "points",
            Group::Changes => "changes",
        }
    }
}

/// Which of the contacts that changed are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactChanges {
    /// Those that came to be.
    Created,
    /// Those that were changed.
    Updated,
    /// Those that were deleted.
    Deleted,
}

impl ContactChanges {
    /// Engage's name of it.
    const fn as_str(self) -> &'static str {
        match self {
            ContactChanges::Created => "Created",
            ContactChanges::Updated => "Updated",
            ContactChanges::Deleted => "Deleted",
        }
    }
}

/// Asks Engage.
pub struct EngageClient {
    exchange: Box<dyn Exchange>,
    admission: Admission,
    reader: Reader,
    omissions: Omissions,
    version: ApiVersion,
    clock: Clock,
}

/// The parts that a version's overview can tell: points only in API v2.
pub fn overview_parts(version: ApiVersion) -> PartSet {
    match version {
        ApiVersion::V2 => PartSet::ALL,
        ApiVersion::V3 => PartSet::ALL.without(Part::Points.into()),
    }
}

impl EngageClient {
    /// A client for the configured Engage, whose calls are let through by `admission`.
    pub fn new(
        config: &config::Engage,
        reader: Reader,
        admission: Admission,
        clock: Clock,
    ) -> Result<Self, anyhow::Error> {
        let transport = Transport::new(config, clock.clone())?;
        let version = config.api_version;
        Ok(Self::over(
            Box::new(transport),
            admission,
            reader,
            version,
            clock,
        ))
    }

    /// A client whose questions are carried by `exchange`.
    pub fn over(
        exchange: Box<dyn Exchange>,
        admission: Admission,
        reader: Reader,
        version: ApiVersion,
        clock: Clock,
    ) -> Self {
        Self {
            exchange,
            admission,
            reader,
            omissions: Omissions::default(),
            version,
            clock,
        }
    }

    /// The parts that the overview can tell.
    pub fn overview_parts(&self) -> PartSet {
        overview_parts(self.version)
    }

    /// Whether a call that nobody waits for may be made.
    pub fn has_room_to_spare(&self) -> bool {
        self.admission.has_room_to_spare()
    }

    /// How many calls about one thing may begin in a row, and how far apart they are kept after those.
    pub fn pace_of_one(&self) -> (u32, Duration) {
        self.admission.pace_of_one()
    }

    /// Waits for the right to call.
    pub async fn admit(&self, group: Group, demand: Demand) -> Result<Permit, Error> {
        self.admission.admit(group, demand).await
    }

    /// `/contactoverview`. May be a cached copy of Engage's own [Voyado: enriched profile].
    pub async fn overview(&self, permit: Permit, lookup: &Lookup) -> Result<Overview, Error> {
        let read = |body: &[u8]| self.reader.overview(body);
        let overview = self
            .by_identifier(&permit, "contactoverview", lookup, read)
            .await?;
        self.note(Part::Profile, Some(&overview.profile));
        self.note(Part::Audiences, overview.audiences.as_ref());
        self.note(Part::Promotions, overview.promotions.as_ref());
        self.note(Part::Vouchers, overview.vouchers.as_ref());
        self.note(Part::Points, overview.points.as_ref());
        Ok(overview)
    }

    /// `/contacts/id`: whom an identifier names now. A contact id names itself.
    pub async fn contact_id(&self, permit: Permit, lookup: &Lookup) -> Result<ContactId, Error> {
        debug_assert!(lookup.identifier.kind() != IdentifierKind::ContactId);
        self.by_identifier(&permit, "contacts/id", lookup, Reader::contact_id)
            .await
    }

    /// `/contacts/{id}`: the profile as it is now.
    pub async fn contact(&self, permit: Permit, id: ContactId) -> Result<Readable<Profile>, Error> {
        let path = format!("contacts/{id}");
        let read = |body: &[u8]| self.reader.contact(body);
        let (told, profile) = self.call(&permit, &path, &[], read).await?;
        if told != id {
            return Err(Error::IdentityMismatch);
        }
        self.note(Part::Profile, Some(&profile));
        Ok(profile)
    }

    /// `/contacts/{id}/promotions`: the promotions as they are now, redeemed ones among them.
    pub async fn promotions(
        &self,
        permit: Permit,
        id: ContactId,
    ) -> Result<Readable<Promotions>, Error> {
        let path = format!("contacts/{id}/promotions");
        let read = |body: &[u8]| self.reader.promotions(body);
        let promotions = self.call(&permit, &path, &[], read).await?;
        self.note(Part::Promotions, Some(&promotions));
        Ok(promotions)
    }

    /// The vouchers that can be used now: of all pages, or of as many as are read.
    pub async fn vouchers(
        &self,
        permit: Permit,
        id: ContactId,
    ) -> Result<Readable<Vouchers>, Error> {
        let id = id.to_string();
        let (path, contact) = match self.version {
            ApiVersion::V3 => ("reward-vouchers/available".to_owned(), Some(id.as_str())),
            ApiVersion::V2 => (format!("contacts/{id}/bonuschecks/available"), None),
        };
        let read = |body: &[u8]| self.reader.vouchers(body);
        let append = |all: &mut Vouchers, mut page: Vouchers| all.append(&mut page);
        let mut all = self.all_pages(permit, &path, contact, read, append).await?;
        // A voucher that is created meanwhile moves others on to the next page.
        let mut seen = HashSet::new();
        all.data.retain(|voucher| seen.insert(voucher.id.clone()));
        self.note(Part::Vouchers, Some(&all));
        Ok(all)
    }

    /// The point accounts: of all pages, or of as many as are read.
    pub async fn points(&self, permit: Permit, id: ContactId) -> Result<Readable<Points>, Error> {
        let read = |body: &[u8]| self.reader.points(id, body);
        let append = |all: &mut Points, mut page: Points| all.accounts.append(&mut page.accounts);
        let contact = id.to_string();
        let all = self
            .all_pages(permit, "point-accounts", Some(&contact), read, append)
            .await?;
        self.note(Part::Points, Some(&all));
        Ok(all)
    }

    /// `/contacts/changes`: the contacts that were created, changed or deleted between two moments. A tenant has it only
    /// where Voyado has switched it on; of more than 250,000 contacts Engage lists none, and says 400.
    pub async fn changes(
        &self,
        permit: &Permit,
        kind: ContactChanges,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Changes, Error> {
        let hour = SignedDuration::from_hours(1);
        let from = self.reader.local(from, -hour);
        let to = self.reader.local(to, hour);
        let query = [
            ("changeType", kind.as_str()),
            ("fromDate", &*from),
            ("toDate", &*to),
        ];
        let path = "contacts/changes";
        let max_body = Some(wire::MAX_LIST);
        match self
            .call_large(permit, path, &query, max_body, wire::changes)
            .await
        {
            Err(Error::Rejected { .. } | Error::Failed { status: 400, .. }) => Ok(Changes::TooMany),
            Err(Error::Invalid { path }) if &*path == "size" => Ok(Changes::TooMany),
            answer => answer,
        }
    }

    async fn by_identifier<T>(
        &self,
        permit: &Permit,
        path: &str,
        lookup: &Lookup,
        read: impl Fn(&[u8]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let value = lookup.identifier.expose();
        let mut query = vec![(lookup.identifier.kind().as_str(), &*value)];
        if let Some(contact_type) = &lookup.contact_type {
            query.push(("contactType", contact_type.as_str()));
        }
        self.call(permit, path, &query, read).await
    }

    /// Counts what was left out of a part, and tells operators of it.
    fn note<T>(&self, part: Part, read: Option<&Readable<T>>) {
        let left_out = read.map_or(&[][..], |read| &read.left_out);
        if !left_out.is_empty() {
            self.admission.traffic().left_out(part, left_out.len());
            self.omissions.log(part, left_out, self.clock.tick());
        }
    }

    /// One question, asked once more where that may help and is not too often; what was certainly not processed is asked
    /// again at once.
    async fn call<T>(
        &self,
        permit: &Permit,
        path: &str,
        query: &[(&str, &str)],
        read: impl Fn(&[u8]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.call_large(permit, path, query, None, read).await
    }

    /// The same, where the answer may be larger than usual.
    async fn call_large<T>(
        &self,
        permit: &Permit,
        path: &str,
        query: &[(&str, &str)],
        max_body: Option<usize>,
        read: impl Fn(&[u8]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        permit.earn_credit();
        let mut was_retried = false;
        for left in (0..MAX_ATTEMPTS).rev() {
            let may_be_repeated = left > 0;
            let asking = self.attempt(permit, path, query, max_body, may_be_repeated, &read);
            let answer = asking.await;
            let Err(error) = &answer else {
                return answer;
            };
            let may_go_on = if !may_be_repeated {
                false
            } else if error.is_unprocessed() {
                permit.may_repeat().await
            } else {
                let may_retry = !was_retried && error.may_pass();
                was_retried = true;
                may_retry && permit.may_retry().await
            };
            if !may_go_on {
                return answer;
            }
        }
        Err(Error::Lost)
    }

    async fn attempt<T>(
        &self,
        permit: &Permit,
        path: &str,
        query: &[(&str, &str)],
        max_body: Option<usize>,
        may_be_repeated: bool,
        read: impl Fn(&[u8]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut attempt = permit.begin();
        let mut answering = match max_body {
            None => self.exchange.get(path, query),
            Some(max_body) => self.exchange.get_large(path, query, max_body),
        };
        let body = tokio::select! {
            biased;
            body = &mut answering => body,
            () = self.clock.sleep_until(attempt.slow_at()) => {
                attempt.is_slow();
                answering.await
            }
        };
        attempt.ended(body.and_then(|body| read(&body)), may_be_repeated)
    }
}
