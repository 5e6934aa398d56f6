//! One replica of the real service, built as in `app`, over the in-memory Engage.

use std::sync::Arc;

use engage_bff::{
    app::{bounds, policy, upstream_limits},
    cache::{feed::Feed, freshness::Policy},
    clock::Clock,
    customer::{
        CustomerService,
        view::{Attributes, Rules},
    },
    domain::{
        Digester, IdentifierRules, UniqueKinds,
        aliases::{AliasReader, CustomKeyAttribute},
    },
    engage::{Admission, CallLimits, EngageClient, Reader},
    shared_tier::SharedTier,
};
use jiff::tz::TimeZone;

use crate::{
    engage::{CallLog, InMemoryEngage},
    settings::Setting,
    standin::Standin,
    tier,
};

/// How identifiers are parsed.
pub(crate) const RULES: IdentifierRules = IdentifierRules {
    phone_region: phonenumber::country::SE,
    check_digits: true,
    national_id_country: None,
};

/// The call budget of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Budget {
    /// Unlimited, to count the calls that are wanted.
    Ample,
    /// This replica's share of one API key's budget.
    OneKey,
}

/// The service and its call admission.
pub(crate) struct Replica {
    pub(crate) customers: CustomerService,
    pub(crate) admission: Admission,
    tier: Option<SharedTier>,
}

impl Replica {
    /// A replica. `server` is that of the tier that it shares with others, if it does.
    pub(crate) fn new(
        setting: &Setting,
        budget: Budget,
        server: Option<&Standin>,
        calls: &CallLog,
        clock: &Clock,
    ) -> Self {
        let config = &setting.config;
        let custom_key = Some(CustomKeyAttribute::MemberNumber);
        let unique = config.identifiers.unique.iter().copied();
        let unique = UniqueKinds::new(unique, custom_key);
        let alias_reader = AliasReader {
            rules: RULES,
            custom_key,
            digester: digester(),
        };
        let reader = Reader {
            alias_reader: alias_reader.clone(),
            time_zone: TimeZone::UTC,
            keeps_national_id: false,
            points_in_overview: false,
        };
        let limits = match budget {
            Budget::OneKey => upstream_limits(config),
            Budget::Ample => CallLimits {
                requests_per_second: 1e6,
                burst: 1_000_000,
                max_concurrency: 1_000_000,
                ..upstream_limits(config)
            },
        };
        let admission = Admission::new(limits, Arc::default(), clock.clone());
        let wire = InMemoryEngage::new(
            calls.clone(),
            clock.clone(),
            setting.mix.has_links_and_desk(),
        );
        let engage = EngageClient::over(
            Box::new(wire),
            admission.clone(),
            reader,
            config.engage.api_version,
            clock.clone(),
        );
        let rules = Rules {
            storefront: Attributes::new(&[]),
            full: Attributes::new(&[]),
            expiring_within: config.views.expiring_within,
            default_point_definition: None,
            phone_region: RULES.phone_region,
        };
        let tier = server.map(|server| tier::on(server, config, clock));
        // As in `app`: what other replicas announce, and no webhooks of its own that could be silent.
        let fallback = config.webhooks.fallback_lifetime;
        let feed = tier
            .as_ref()
            .map(|_| Arc::new(Feed::new(None, true, fallback)));
        let customers = CustomerService::new(
            engage,
            alias_reader,
            rules,
            Policy {
                feed,
                ..policy(config)
            },
            bounds(config),
            config.server.request_timeout,
            clock.clone(),
        );
        let customers = customers.with_learned_aliases(unique);
        Self {
            customers: customers.with_shared_tier(tier.clone()),
            admission,
            tier,
        }
    }

    /// Starts the background work that the shared tier needs, and waits until it is connected.
    pub(crate) async fn connect(&self) {
        let Some(tier) = &self.tier else { return };
        let customers = self.customers.clone();
        tokio::spawn(async move { customers.follow_replicas().await });
        while !tier.is_available() {
            tokio::task::yield_now().await;
        }
    }

    /// Whether it shares a tier that it can't use.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.tier.as_ref().is_some_and(|tier| !tier.is_available())
    }
}

/// Its key does not matter: no lookup is by national id.
pub(crate) fn digester() -> Digester {
    Digester::with_key(b"a key of no importance")
}
