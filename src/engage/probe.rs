//! Single calls that show whether Engage accepts the configuration, for `check-config --online`. They change nothing,
//! look up only contacts that do not exist, and are made one after the other, within the call budget.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    admission::{Admission, AdmissionRequest, Permit},
    client::{ContactChanges, EngageClient},
    error::Error,
    exchange::{Exchange, RequestOptions, ResponseFuture},
    group::Group,
    transport::Transport,
    wire::{Changes, Reader},
};
use crate::{
    clock::{Clock, ClockDifference},
    config,
    domain::{ContactId, Lookup, Priority},
};

/// The period for which changed contacts are requested.
const CHANGES_PERIOD: SignedDuration = SignedDuration::from_mins(1);
/// The code of a 400 about a contact type that the tenant does not have.
const INVALID_CONTACT_TYPE: &str = "InvalidContactType";

/// A client of Engage for single calls.
pub struct Probe {
    client: EngageClient,
    difference: Arc<Mutex<Option<ClockDifference>>>,
    /// An id that no contact has.
    unknown: ContactId,
    clock: Clock,
}

/// The point definitions of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointDefinitions {
    /// How many there are.
    pub count: usize,
    /// Whether one of them has the given id.
    pub contain: bool,
}

impl Probe {
    /// A probe of the configured Engage. Starts resolving its name.
    pub fn new(
        config: &config::EngageConfig,
        reader: Reader,
        admission: Admission,
        clock: Clock,
    ) -> Result<Self, anyhow::Error> {
        let difference = Arc::default();
        let exchange = DatedExchange {
            transport: Transport::new(config, clock.clone())?,
            difference: Arc::clone(&difference),
            clock: clock.clone(),
        };
        let version = config.api_version;
        let client = EngageClient::over(
            Box::new(exchange),
            admission,
            reader,
            version,
            clock.clone(),
        );
        let unknown = ContactId::parse(&Uuid::new_v4().to_string());
        Ok(Self {
            client,
            difference,
            unknown: unknown.expect("a UUID is a contact id"),
            clock,
        })
    }

    /// Checks that Engage answers a request for an unknown contact as expected, which it does only if it accepts the
    /// key.
    pub async fn overview(&self) -> Result<(), Error> {
        let permit = self.permit(Group::Overview).await?;
        let lookup = Lookup::by_id(self.unknown);
        expect_unknown(self.client.overview(permit, &lookup).await)
    }

    /// The entity endpoints that do not answer a request for an unknown contact as expected, with their errors.
    pub async fn entity_endpoints(&self) -> Vec<(Group, Error)> {
        let mut failures = Vec::new();
        for group in [
            Group::Contacts,
            Group::Promotions,
            Group::Vouchers,
            Group::Points,
        ] {
            if let Err(error) = self.entity_endpoint(group).await {
                failures.push((group, error));
            }
        }
        failures
    }

    async fn entity_endpoint(&self, group: Group) -> Result<(), Error> {
        let (client, id) = (&self.client, self.unknown);
        let permit = self.permit(group).await?;
        let answer = match group {
            Group::Promotions => client.promotions(permit, id).await.map(drop),
            Group::Vouchers => client.vouchers(permit, id).await.map(drop),
            Group::Points => client.points(permit, id).await.map(drop),
            _ => client.contact(permit, id).await.map(drop),
        };
        match expect_unknown(answer) {
            // The body of a 404 about an unknown contact is documented only for look-ups.
            Err(Error::Failed { status: 404, .. }) => Ok(()),
            answer => answer,
        }
    }

    /// Whether the tenant has the contact type of this look-up. No contact should have its identifier.
    pub async fn has_contact_type(&self, lookup: &Lookup) -> Result<bool, Error> {
        let permit = self.permit(Group::Contacts).await?;
        match self.client.contact_id(permit, lookup).await {
            Err(Error::Rejected { code }) if &*code == INVALID_CONTACT_TYPE => Ok(false),
            answer => expect_unknown(answer).map(|()| true),
        }
    }

    /// The tenant's point definitions, and whether one of them has this id.
    pub async fn point_definitions(&self, id: Option<&str>) -> Result<PointDefinitions, Error> {
        let permit = self.permit(Group::PointDefinitions).await?;
        let definitions = self.client.point_definitions(&permit).await?.data;
        Ok(PointDefinitions {
            count: definitions.len(),
            contain: definitions.iter().any(|one| Some(&*one.id) == id),
        })
    }

    /// Checks that Engage lists changed contacts.
    pub async fn changes(&self) -> Result<(), Error> {
        let permit = self.permit(Group::Changes).await?;
        let to = self.clock.now().wall;
        let from = to - CHANGES_PERIOD;
        let changes = self
            .client
            .changes(&permit, ContactChanges::Updated, from, to);
        match changes.await? {
            Changes::Listed { .. } => Ok(()),
            // No tenant changes 250,000 contacts a minute: the 400 has another reason.
            Changes::TooMany => Err(Error::Failed {
                status: 400,
                retry_after: None,
            }),
        }
    }

    /// The least difference between the clocks that the responses so far prove. `None` if no response had a date.
    pub fn clock_difference(&self) -> Option<ClockDifference> {
        *self
            .difference
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn permit(&self, group: Group) -> Result<Permit, Error> {
        let request = AdmissionRequest::of_service("(check-config)", Priority::Miss);
        self.client.admit(group, request).await
    }
}

/// Accepts the answers about an unknown contact. They need not be errors: a list may be empty.
fn expect_unknown<T>(answer: Result<T, Error>) -> Result<(), Error> {
    match answer {
        Err(error) if !error.is_about_the_identifier() => Err(error),
        _ => Ok(()),
    }
}

/// The transport, with a comparison of the clocks at each response.
struct DatedExchange {
    transport: Transport,
    difference: Arc<Mutex<Option<ClockDifference>>>,
    clock: Clock,
}

impl DatedExchange {
    fn compare(&self, date: Timestamp, began: Timestamp) {
        let now = ClockDifference::of(date, began, self.clock.now().wall);
        let mut least = self
            .difference
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if least.is_none_or(|least| now.abs() < least.abs()) {
            *least = Some(now);
        }
    }

    async fn send(
        &self,
        path: &str,
        query: &[(&str, &str)],
        options: RequestOptions,
    ) -> Result<Bytes, Error> {
        let began = self.clock.now().wall;
        let (date, body) = self.transport.get_dated(path, query, options).await;
        if let Some(date) = date {
            self.compare(date, began);
        }
        body
    }
}

impl Exchange for DatedExchange {
    fn get<'a>(&'a self, path: &'a str, query: &'a [(&'a str, &'a str)]) -> ResponseFuture<'a> {
        self.get_with(path, query, RequestOptions::default())
    }

    fn get_with<'a>(
        &'a self,
        path: &'a str,
        query: &'a [(&'a str, &'a str)],
        options: RequestOptions,
    ) -> ResponseFuture<'a> {
        Box::pin(self.send(path, query, options))
    }
}
