//! One replica of the real service, built as in `app`, over the in-memory Engage.

use std::sync::Arc;

use engage_bff::{
    app::{bounds, policy, upstream_limits},
    clock::Clock,
    config::Config,
    customer::{
        CustomerService,
        view::{Attributes, Rules},
    },
    domain::{
        Digester, IdentifierRules,
        aliases::{AliasReader, CustomKeyAttribute},
    },
    engage::{Admission, CallLimits, EngageClient, Reader},
};
use jiff::tz::TimeZone;

use crate::engage::{CallLog, InMemoryEngage};

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
}

impl Replica {
    pub(crate) fn new(config: &Config, budget: Budget, calls: &CallLog, clock: &Clock) -> Self {
        let alias_reader = AliasReader {
            rules: RULES,
            custom_key: Some(CustomKeyAttribute::MemberNumber),
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
        let wire = InMemoryEngage::new(calls.clone(), clock.clone());
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
        let customers = CustomerService::new(
            engage,
            alias_reader,
            rules,
            policy(config),
            bounds(config),
            config.server.request_timeout,
            clock.clone(),
        );
        Self {
            customers,
            admission,
        }
    }
}

/// Unused: no lookup is by national id.
pub(crate) fn digester() -> Digester {
    Digester::with_key(b"a key of no importance")
}
