//! Two replicas of the customer service over one stand-in of the shared tier's server, one simulator of Engage and one
//! clock.

use std::{sync::Arc, time::Duration};

use engage_bff::{
    cache::{Bounds, freshness::Policy},
    clock::{Clock, ManualClock},
    config::{self, ApiVersion},
    customer::{
        CustomerQuery, CustomerService, Error, Found,
        view::{Attributes, Rules},
    },
    domain::{
        ContactId, ContactType, Digester, Flow, Identifier, IdentifierKind, IdentifierRules,
        Lookup, Part, PartMap, PartSet, aliases::AliasReader,
    },
    engage::{Admission, CallLimits, EngageClient, Reader, overview_parts},
    shared_tier::{
        Announced, Announcement, BudgetSettings, InvalidationScope, Settings, SharedTier,
        budget_name, protocol::Backend,
    },
};
use engage_simulator::{Simulator, SimulatorClock};
use jiff::{Timestamp, civil::date, tz::TimeZone};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::standin::{Connection, Standin};

/// The time at which every test starts.
const START: &str = "2026-11-23T12:00:00Z";
const API_KEY: &str = "test-engage-key";
/// How long every part is fresh.
pub(crate) const LIFETIME: Duration = Duration::from_secs(60);
pub(crate) const OVERVIEW_LAG: Duration = Duration::from_secs(600);
/// How long an operation of the tier may take.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(50);
/// How long a request waits.
const PATIENCE: Duration = Duration::from_secs(3);
/// The parts that every test requests.
pub(crate) const ASKED: PartSet =
    PartSet::of(&[Part::Profile, Part::Audiences, Part::Vouchers, Part::Points]);

/// What all replicas share.
pub(crate) struct World {
    pub(crate) engage: Simulator,
    pub(crate) standin: Standin,
    clock: ManualClock,
}

/// One replica.
pub(crate) struct Replica {
    pub(crate) customers: CustomerService,
    pub(crate) tier: Option<SharedTier>,
    pub(crate) connection: Connection,
    clock: Clock,
    background: Option<JoinHandle<()>>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(background) = &self.background {
            background.abort();
        }
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        let start: Timestamp = START.parse().expect("a time");
        let engage = Simulator::builder()
            .seed(7)
            .contacts(0)
            .api_key(API_KEY)
            .clock(SimulatorClock::manual(start))
            .overview_lag(Duration::ZERO)
            .rate_limit(None)
            .start()
            .await
            .expect("the simulator starts");
        let clock = ManualClock::new(start);
        // A replica can't represent times before its process started, nor use data from then: the tests begin an hour
        // after the start.
        clock.advance(Duration::from_secs(3600));
        engage.clock().advance(Duration::from_secs(3600));
        Self {
            standin: Standin::new(Clock::from(clock.clone())),
            engage,
            clock,
        }
    }

    /// Makes a contact with that address. Returns its id.
    pub(crate) fn contact(&self, email: &str) -> String {
        let attributes = json!({ "email": email, "firstName": "Alva" });
        let id = self.engage.create(attributes, "Member");
        let _ = self.engage.contact(&id).points("10");
        id
    }

    /// Two replicas that are connected.
    pub(crate) async fn replicas(&self) -> [Replica; 2] {
        let replicas = [self.replica(BUDGET), self.replica(BUDGET)];
        self.settle(&replicas).await;
        replicas
    }

    /// A replica whose budget has this burst and this rate.
    pub(crate) fn replica(&self, (burst, rate): (u32, f64)) -> Replica {
        self.replica_with(burst, rate, true)
    }

    /// A replica without the tier.
    pub(crate) fn lone_replica(&self) -> Replica {
        self.replica_with(BUDGET.0, BUDGET.1, false)
    }

    fn replica_with(&self, burst: u32, rate: f64, has_tier: bool) -> Replica {
        let clock = Clock::from(self.clock.clone());
        let connection = self.standin.connection();
        let customers = service(&self.engage, burst, rate, &clock);
        let backend: Arc<dyn Backend> = Arc::new(connection.clone());
        let tier = has_tier.then(|| SharedTier::new(settings(), backend, clock.clone()));
        let background = tier.clone().map(|tier| {
            // Invalidations are not the subject of these tests, so nothing applies them.
            tokio::spawn(async move { tier.run(|_| async {}).await })
        });
        Replica {
            customers: customers.with_shared_tier(tier.clone()),
            tier,
            connection,
            clock,
            background,
        }
    }

    /// Advances all clocks, slowly enough for periodic tasks.
    pub(crate) async fn advance(&self, step: Duration, replicas: &[Replica]) {
        let mut left = step;
        while !left.is_zero() {
            let step = left.min(Duration::from_millis(250));
            left -= step;
            self.clock.advance(step);
            self.engage.clock().advance(step);
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        self.settle(replicas).await;
    }

    /// Waits until every replica can use the tier.
    pub(crate) async fn settle(&self, replicas: &[Replica]) {
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        let is_settled =
            |replica: &Replica| replica.tier.as_ref().is_none_or(SharedTier::is_available);
        for number in 0..10_000 {
            ticks.tick().await;
            if number >= 3 && replicas.iter().all(is_settled) {
                return;
            }
            if number % 100 == 99 {
                self.clock.advance(Duration::from_millis(100));
            }
        }
        panic!("the tier does not come back");
    }

    /// Advances the clocks continuously until the returned value is dropped.
    pub(crate) fn run_clock(&self) -> RunningClock {
        let (engage, clock) = (self.engage.clone(), self.clock.clone());
        RunningClock(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(1));
            loop {
                ticks.tick().await;
                engage.clock().advance(Duration::from_millis(2));
                clock.advance(Duration::from_millis(2));
            }
        }))
    }
}

/// Advances the clocks until it is dropped.
pub(crate) struct RunningClock(JoinHandle<()>);

impl Drop for RunningClock {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How a request differs from the default request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestOptions {
    pub(crate) asked: PartSet,
    pub(crate) fresh: PartSet,
    pub(crate) max_age: Option<Duration>,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self {
            asked: ASKED,
            fresh: PartSet::EMPTY,
            max_age: None,
        }
    }
}

impl Replica {
    /// Requests a customer by e-mail address.
    pub(crate) async fn get(&self, email: &str) -> Result<Found, Error> {
        self.ask(&by_email(email), RequestOptions::default()).await
    }

    /// Requests a customer.
    pub(crate) async fn ask(
        &self,
        lookup: &Lookup,
        options: RequestOptions,
    ) -> Result<Found, Error> {
        let query = self.query(lookup, options);
        self.customers.find(&query).await
    }

    /// The same in a task of its own.
    pub(crate) fn spawn_get(&self, email: &str) -> JoinHandle<Result<Found, Error>> {
        self.spawn_ask(&by_email(email), RequestOptions::default())
    }

    /// Requests a customer in a task of its own.
    pub(crate) fn spawn_ask(
        &self,
        lookup: &Lookup,
        options: RequestOptions,
    ) -> JoinHandle<Result<Found, Error>> {
        let query = self.query(lookup, options);
        let customers = self.customers.clone();
        tokio::spawn(async move { customers.find(&query).await })
    }

    pub(crate) fn query(&self, lookup: &Lookup, options: RequestOptions) -> CustomerQuery {
        let now = self.clock.now();
        let (lookup, deadline) = (lookup.clone(), now.tick + PATIENCE);
        CustomerQuery {
            fresh: options.fresh,
            max_age: options.max_age,
            ..self
                .customers
                .query(Flow::from("test"), lookup, options.asked, now, deadline)
        }
    }

    /// Announces a purge of the contact to the other replicas, without applying it to this replica's memory.
    pub(crate) async fn announce_purge(&self, id: &str) {
        let contacts = [(contact_id(id), PartSet::ALL, true)];
        self.announce(InvalidationScope::Contacts {
            contacts: &contacts,
            aliases: &[],
            negatives: false,
        })
        .await;
    }

    pub(crate) async fn announce(&self, scope: InvalidationScope<'_>) {
        let announcement = Announcement {
            scope,
            message: None,
            payload: Vec::new(),
        };
        let tier = self.tier.as_ref().expect("a tier");
        let announced = tier.announce(announcement).await.expect("it is announced");
        assert_eq!(announced, Announced::Written);
    }
}

pub(crate) fn contact_id(text: &str) -> ContactId {
    ContactId::parse(text).expect("a contact id")
}

/// The lookup by an e-mail address.
pub(crate) fn by_email(email: &str) -> Lookup {
    let parsed = Identifier::parse(IdentifierKind::Email, email, &rules(), date(2026, 11, 23));
    let member = ContactType::parse("Member");
    Lookup::new(parsed.expect("an address"), member, &digester())
}

/// A burst and a rate that no test exhausts.
pub(crate) const BUDGET: (u32, f64) = (100_000, 100_000.0);

pub(crate) fn digester() -> Digester {
    Digester::with_key(b"a key of tests")
}

fn rules() -> IdentifierRules {
    IdentifierRules {
        phone_region: "SE".parse().expect("a country"),
        check_digits: true,
        national_id_country: None,
    }
}

fn settings() -> Settings {
    Settings {
        timeout: TIMEOUT,
        lease: Duration::from_secs(2),
        overview_lag: OVERVIEW_LAG,
        longest_flight: Duration::from_secs(60),
        lifetimes: PartMap::splat(LIFETIME),
        negative_lifetime: LIFETIME / 2,
        message_memory: LIFETIME,
        encryption_keys: vec![[7; 32]],
        digester: Some(digester()),
        budget: BudgetSettings {
            name: budget_name(API_KEY),
            requests_per_second: BUDGET.1,
            burst: BUDGET.0,
        },
    }
}

fn service(engage: &Simulator, burst: u32, rate: f64, clock: &Clock) -> CustomerService {
    let alias_reader = AliasReader {
        rules: rules(),
        custom_key: None,
        digester: digester(),
    };
    let reader = Reader {
        alias_reader: alias_reader.clone(),
        time_zone: TimeZone::UTC,
        keeps_national_id: false,
        points_in_overview: false,
    };
    let limits = CallLimits {
        requests_per_second: rate,
        burst,
        max_concurrency: 100,
        slow_after: Duration::from_secs(1),
    };
    let defaults = config::layers::read(None, &std::collections::BTreeMap::new());
    let mut config = defaults.expect("the defaults can be read").engage;
    config.base_url = engage.base_url();
    config.api_key = Some(API_KEY.into());
    config.api_version = ApiVersion::V3;
    let admission = Admission::new(limits, Arc::default(), clock.clone());
    let client = EngageClient::new(&config, reader, admission, clock.clone());
    let policy = Policy {
        lifetimes: PartMap::splat(LIFETIME),
        history_lifetime: LIFETIME,
        stale_while_revalidate: LIFETIME / 2,
        stale_if_error: 10 * LIFETIME,
        stale_if_slow: Duration::from_millis(300),
        negative_lifetime: LIFETIME / 2,
        overview_lag: OVERVIEW_LAG,
        overview_parts: overview_parts(ApiVersion::V3),
        feed: None,
    };
    let bounds = Bounds {
        max_bytes: 8 << 20,
        longest_flight: Duration::from_secs(60),
    };
    let views = Rules {
        storefront: Attributes::new(&[]),
        full: Attributes::new(&["*".to_owned()]),
        expiring_within: LIFETIME,
        default_point_definition: None,
        phone_region: rules().phone_region,
    };
    CustomerService::new(
        client.expect("a client"),
        alias_reader,
        views,
        policy,
        bounds,
        PATIENCE,
        clock.clone(),
    )
}
