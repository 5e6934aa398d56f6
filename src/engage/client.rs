//! The client, with one method per operation of the Engage API.

mod attempts;
mod history;
mod pages;
mod span;

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

pub use self::history::KnownPoints;
use self::{
    pages::{MAX_PAGES, PagedList},
    span::Upstream,
};
use super::{
    admission::{Admission, AdmissionRequest, LONGEST_WAIT, Permit},
    connections::Connections,
    error::Error,
    exchange::Exchange,
    failure_log::FailureLog,
    group::Group,
    point_names::PointNames,
    transport::{Transport, longest_attempt},
    unreadable_log::UnreadableLog,
    wire::{self, Changes, MAX_DEFINITIONS, PointDefinition, Reader},
};
use crate::{
    clock::Clock,
    config::{self, ApiVersion},
    domain::{
        AnswerPath, ContactId, IdentifierKind, Lookup, Overview, Part, PartSet, Partial, Points,
        Profile, Promotions, Vouchers,
    },
    traces::Tracer,
};

/// Upper bound of attempts per call.
const MAX_ATTEMPTS: u32 = 3;

/// The kind of change in a request for changed contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactChanges {
    /// Created contacts.
    Created,
    /// Updated contacts.
    Updated,
    /// Deleted contacts.
    Deleted,
}

impl ContactChanges {
    /// Engage's name.
    const fn as_str(self) -> &'static str {
        match self {
            ContactChanges::Created => "Created",
            ContactChanges::Updated => "Updated",
            ContactChanges::Deleted => "Deleted",
        }
    }
}

/// Client of the Engage API.
pub struct EngageClient {
    exchange: Box<dyn Exchange>,
    /// Makes the connections; `None` if the client uses another exchange.
    connections: Option<Connections>,
    admission: Admission,
    reader: Reader,
    unreadable_log: UnreadableLog,
    failure_log: FailureLog,
    version: ApiVersion,
    /// `None` if the names of points are not requested.
    point_names: Option<PointNames>,
    tracer: Tracer,
    upstream: Upstream,
    clock: Clock,
}

/// The longest time from a flight's start until its data is stored: every attempt of every page takes as long as an
/// attempt may, after the longest waits for a retry and for the call budget. The first attempt's wait ends before the
/// flight starts; that leaves time for storing.
pub fn longest_call(timeout: Duration) -> Duration {
    (LONGEST_WAIT + longest_attempt(timeout)) * MAX_ATTEMPTS * MAX_PAGES
}

/// The parts in the overview of an API version: points only in v2.
pub fn overview_parts(version: ApiVersion) -> PartSet {
    let is_in_overview = |part: &Part| match part {
        Part::Profile | Part::Audiences | Part::Promotions | Part::Vouchers => true,
        Part::Points => version == ApiVersion::V2,
    };
    Part::ALL.into_iter().filter(is_in_overview).collect()
}

impl EngageClient {
    /// A client of the configured Engage.
    pub fn new(
        config: &config::EngageConfig,
        reader: Reader,
        admission: Admission,
        clock: Clock,
    ) -> Result<Self, anyhow::Error> {
        let transport = Arc::new(Transport::new(config, clock.clone())?);
        let version = config.api_version;
        let exchange = Box::new(Arc::clone(&transport));
        let mut client = Self::over(exchange, admission, reader, version, clock);
        client.connections = Some(Connections::of(transport));
        if config.point_names {
            let default = config.default_point_definition.as_deref();
            client.point_names = Some(PointNames::new(default));
        }
        client.upstream = Upstream::of(&config.base_url);
        Ok(client)
    }

    /// Records the spans of its calls.
    #[must_use]
    pub fn with_tracer(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// A client over the given exchange. It does not name points.
    pub fn over(
        exchange: Box<dyn Exchange>,
        admission: Admission,
        reader: Reader,
        version: ApiVersion,
        clock: Clock,
    ) -> Self {
        Self {
            exchange,
            connections: None,
            admission,
            reader,
            unreadable_log: UnreadableLog::default(),
            failure_log: FailureLog::new(clock.clone()),
            version,
            point_names: None,
            tracer: Tracer::default(),
            upstream: Upstream::default(),
            clock,
        }
    }

    /// The connections; `None` if the client uses another exchange.
    pub fn connections(&self) -> Option<&Connections> {
        self.connections.as_ref()
    }

    /// The parts in the overview.
    pub fn overview_parts(&self) -> PartSet {
        overview_parts(self.version)
    }

    /// Whether there is capacity for background calls.
    pub fn has_spare_capacity(&self) -> bool {
        self.admission.has_spare_capacity()
    }

    /// Burst and interval of calls about one contact's part.
    pub fn per_contact_rate(&self) -> (u32, Duration) {
        self.admission.per_contact_rate()
    }

    /// The log of failed calls.
    pub fn failure_log(&self) -> &FailureLog {
        &self.failure_log
    }

    /// Waits for permission to call.
    pub async fn admit(&self, group: Group, demand: AdmissionRequest) -> Result<Permit, Error> {
        self.admission.admit(group, demand).await
    }

    /// `/contactoverview`. Engage may answer from a cache of its own [Voyado: enriched profile].
    pub async fn overview(&self, permit: Permit, lookup: &Lookup) -> Result<Overview, Error> {
        let read = |body: &[u8]| self.reader.overview(body);
        let overview = self
            .by_identifier(&permit, "contactoverview", lookup, read)
            .await?;
        for part in overview.parts().iter() {
            self.report_unreadable(part.as_str(), overview.left_out(part));
        }
        Ok(overview)
    }

    /// `/contacts/id`: the contact that an identifier leads to now. Not for contact ids.
    pub async fn contact_id(&self, permit: Permit, lookup: &Lookup) -> Result<ContactId, Error> {
        debug_assert!(lookup.identifier.kind() != IdentifierKind::ContactId);
        self.by_identifier(&permit, "contacts/id", lookup, Reader::contact_id)
            .await
    }

    /// `/contacts/{id}`: the current profile.
    pub async fn contact(&self, permit: Permit, id: ContactId) -> Result<Partial<Profile>, Error> {
        let path = format!("contacts/{id}");
        let read = |body: &[u8]| self.reader.contact(body);
        let (actual_id, profile) = self.call(&permit, &path, &[], read).await?;
        if actual_id != id {
            return Err(Error::IdentityMismatch);
        }
        self.report_unreadable(Part::Profile.as_str(), &profile.left_out);
        Ok(profile)
    }

    /// `/contacts/{id}/promotions`: the current promotions, redeemed ones included.
    pub async fn promotions(
        &self,
        permit: Permit,
        id: ContactId,
    ) -> Result<Partial<Promotions>, Error> {
        let path = format!("contacts/{id}/promotions");
        let read = |body: &[u8]| self.reader.promotions(body);
        let promotions = self.call(&permit, &path, &[], read).await?;
        self.report_unreadable(Part::Promotions.as_str(), &promotions.left_out);
        Ok(promotions)
    }

    /// The available vouchers, up to the page limit.
    pub async fn vouchers(
        &self,
        permit: Permit,
        id: ContactId,
    ) -> Result<Partial<Vouchers>, Error> {
        let id = id.to_string();
        let (path, contact) = match self.version {
            ApiVersion::V3 => ("reward-vouchers/available".to_owned(), Some(id.as_str())),
            ApiVersion::V2 => (format!("contacts/{id}/bonuschecks/available"), None),
        };
        let read = |body: &[u8]| self.reader.vouchers(body);
        let append = |all: &mut Vouchers, mut page: Vouchers| all.append(&mut page);
        let list = PagedList {
            path: &path,
            contact,
            max_pages: MAX_PAGES,
        };
        let mut all = self.all_pages(&permit, list, read, append).await?;
        // A voucher created between two pages moves another one to the next page.
        let mut seen = HashSet::new();
        all.data.retain(|voucher| seen.insert(voucher.id.clone()));
        self.report_unreadable(Part::Vouchers.as_str(), &all.left_out);
        Ok(all)
    }

    /// The point accounts, up to the page limit.
    pub async fn points(&self, permit: Permit, id: ContactId) -> Result<Partial<Points>, Error> {
        let mut all = self.point_accounts(&permit, id, MAX_PAGES).await?;
        if let Some(names) = &self.point_names {
            names.name(&mut all.data);
        }
        self.report_unreadable(Part::Points.as_str(), &all.left_out);
        Ok(all)
    }

    async fn point_accounts(
        &self,
        permit: &Permit,
        id: ContactId,
        max_pages: u32,
    ) -> Result<Partial<Points>, Error> {
        let read = |body: &[u8]| self.reader.points(id, body);
        let append = |all: &mut Points, mut page: Points| all.accounts.append(&mut page.accounts);
        let contact = id.to_string();
        let list = PagedList {
            path: "point-accounts",
            contact: Some(&contact),
            max_pages,
        };
        self.all_pages(permit, list, read, append).await
    }

    /// Whether the client names points.
    pub fn wants_point_names(&self) -> bool {
        self.point_names.is_some()
    }

    /// How long ago the names of points were read; `None` if they have not been read.
    pub fn point_definitions_age(&self) -> Option<Duration> {
        self.point_names.as_ref()?.age(self.clock.tick())
    }

    /// Reads the point definitions. Accounts that are read from now on have their names.
    pub async fn read_point_names(&self, permit: Permit) -> Result<(), Error> {
        let all = self.point_definitions(&permit).await?;
        if let Some(names) = &self.point_names {
            names.replace(all, self.clock.tick());
        }
        Ok(())
    }

    /// `/point-accounts/definitions`: the point definitions, up to the page limit. Documented for v2; the path in v3 is
    /// inferred from that.
    pub(super) async fn point_definitions(
        &self,
        permit: &Permit,
    ) -> Result<Partial<Vec<PointDefinition>>, Error> {
        let append = |all: &mut Vec<_>, mut page: Vec<_>| all.append(&mut page);
        let list = PagedList {
            path: "point-accounts/definitions",
            contact: None,
            max_pages: MAX_PAGES,
        };
        let mut all = self
            .all_pages(permit, list, Reader::point_definitions, append)
            .await?;
        all.data.truncate(MAX_DEFINITIONS);
        Ok(all)
    }

    /// `/contacts/changes`: the contacts created, updated or deleted between two times. Voyado enables it per tenant;
    /// for more than 250,000 contacts Engage answers 400.
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
        let answer = self.call(permit, path, &query, read).await;
        let is_about_type = answer.as_ref().is_err_and(Error::is_about_the_contact_type);
        if is_about_type && lookup.has_default_type {
            self.failure_log.default_contact_type_refused();
        }
        answer
    }

    /// Counts and logs the unreadable items of a part.
    fn report_unreadable(&self, part: &'static str, left_out: &[AnswerPath]) {
        if !left_out.is_empty() {
            self.admission.metrics().left_out(part, left_out.len());
            self.unreadable_log.log(part, left_out, self.clock.tick());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_call_includes_the_trial_of_a_new_pool_in_each_attempt() {
        let timeout = Duration::from_secs(10);
        // The duration of an attempt is that of `attempt_ends_a_second_after_its_timeout_at_the_latest` in tests/api.
        let attempts = Duration::from_secs(11) * MAX_ATTEMPTS * MAX_PAGES;
        let waits = LONGEST_WAIT * MAX_ATTEMPTS * MAX_PAGES;
        assert_eq!(longest_call(timeout), attempts + waits);
    }
}
