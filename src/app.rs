//! The composition root: configuration and clock in, a bound and running service out. The same path
//! for `main`, the demo and the tests.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use jiff::tz::TimeZone;
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use crate::{
    cache::{Bounds, freshness::Policy},
    clock::Clock,
    config::{Config, CustomKey},
    customer::{
        CustomerService,
        answer::{Attributes, Rules},
    },
    domain::{
        ContactType, Digester, IdentifierRules,
        names::{CustomKeyAttribute, NameReader},
        phone::Phone,
    },
    engage::{EngageClient, Reader},
    http::{AppState, Authenticator, FrontDoor, Limits, Listener, LookupRules, Readiness},
};

/// A service that is bound and not yet running.
pub struct App {
    listener: Listener,
    door: FrontDoor,
    readiness: Readiness,
    customers: CustomerService,
}

impl App {
    /// Puts the rooms together and binds the listener. The configuration has been validated.
    pub async fn build(config: &Config, clock: Clock) -> Result<Self, anyhow::Error> {
        let phone_region = config.phone_region().context("identifiers.phone_region")?;
        // The numbering plans are read on first use, which takes tens of milliseconds: not a caller's.
        let _ = Phone::parse("0701740605", phone_region);
        let time_zone = TimeZone::get(&config.engage.time_zone).context("engage.time_zone")?;
        let digester = digester(config);
        let identifiers = IdentifierRules {
            phone_region,
            check_digits: config.identifiers.check_digits,
        };
        let names = NameReader {
            rules: identifiers.clone(),
            custom_key: config.engage.custom_key.map(|key| match key {
                CustomKey::MemberNumber => CustomKeyAttribute::MemberNumber,
                CustomKey::ExternalId => CustomKeyAttribute::ExternalId,
            }),
            digester: digester.clone(),
        };
        let rules = view_rules(config, phone_region);
        let reader = Reader {
            names: names.clone(),
            time_zone: time_zone.clone(),
            keeps_national_id: rules.full.list_national_id(),
            points_in_overview: config.engage.api_version == crate::config::ApiVersion::V2,
            clock: clock.clone(),
        };
        let engage = EngageClient::new(&config.engage, reader, clock.clone())?;
        let customers = CustomerService::new(
            engage,
            names,
            rules,
            policy(config),
            bounds(config),
            config.server.request_timeout,
            clock.clone(),
        );
        let readiness = Readiness::default();
        let state = AppState {
            customers: customers.clone(),
            authenticator: Arc::new(Authenticator::new(&config.auth, clock.clone())),
            rules: Arc::new(lookup_rules(config, identifiers, digester, time_zone)),
            readiness: readiness.clone(),
        };
        let listener = Listener::bind(config.server.listen, limits(config))
            .await
            .with_context(|| format!("server.listen: {} can't be bound", config.server.listen))?;
        Ok(Self {
            listener,
            door: FrontDoor::new(state, clock),
            readiness,
            customers,
        })
    }

    /// Where the data listener is.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// The hall, for whoever tells it of changes.
    pub fn customers(&self) -> CustomerService {
        self.customers.clone()
    }

    /// Serves until `shutdown`, then finishes what is under way.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), io::Error> {
        tracing::info!(listen = %self.local_addr(), "serving");
        let finished = self
            .listener
            .serve(self.door, self.readiness, shutdown)
            .await;
        if finished {
            tracing::info!("stopped");
            Ok(())
        } else {
            Err(io::Error::other(
                "answers were still under way when the grace ended",
            ))
        }
    }
}

fn digester(config: &Config) -> Digester {
    match &config.telemetry.digest_key {
        Some(key) => Digester::with_key(key.expose_secret().as_bytes()),
        None => Digester::random(),
    }
}

fn policy(config: &Config) -> Policy {
    let cache = &config.cache;
    Policy {
        lifetimes: [
            cache.profile_lifetime,
            cache.audiences_lifetime,
            cache.promotions_lifetime,
            cache.vouchers_lifetime,
            cache.points_lifetime,
        ],
        stale_while_revalidate: cache.stale_while_revalidate,
        stale_if_error: cache.stale_if_error,
        negative_lifetime: cache.negative_lifetime,
        overview_lag: config.engage.overview_lag,
    }
}

fn bounds(config: &Config) -> Bounds {
    Bounds {
        max_bytes: config.cache.max_size.as_u64(),
        // Pages of a list follow one another, each with a time-out of its own; and a call may wait
        // for its turn first.
        longest_flight: config.engage.timeout * 10 + Duration::from_secs(20),
    }
}

fn view_rules(config: &Config, phone_region: phonenumber::country::Id) -> Rules {
    Rules {
        storefront: Attributes::new(&config.views.storefront.attributes),
        full: Attributes::new(&config.views.full.attributes),
        expiring_within: config.views.expiring_within,
        default_point_definition: config
            .engage
            .default_point_definition
            .as_deref()
            .map(Into::into),
        phone_region,
    }
}

fn lookup_rules(
    config: &Config,
    identifiers: IdentifierRules,
    digester: Digester,
    time_zone: TimeZone,
) -> LookupRules {
    LookupRules {
        identifiers,
        default_contact_type: config
            .engage
            .default_contact_type
            .as_deref()
            .and_then(ContactType::parse),
        expiring_within: config.views.expiring_within,
        allow_national_id_in_url: config.server.allow_national_id_in_url,
        digester,
        time_zone,
        patience: config.server.request_timeout,
        max_body: usize::try_from(config.server.max_body.as_u64()).unwrap_or(usize::MAX),
        body_timeout: config.server.body_timeout,
    }
}

fn limits(config: &Config) -> Limits {
    let server = &config.server;
    Limits {
        header_timeout: server.header_timeout,
        idle_timeout: server.idle_timeout,
        write_timeout: server.write_timeout,
        max_connections: server.max_connections,
        shutdown_grace: server.shutdown_grace,
    }
}
