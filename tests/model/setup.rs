//! The real service, put together as in `app`, over the scripted exchange.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use engage_bff::{
    cache::{Bounds, freshness::Policy},
    clock::{Clock, ManualClock},
    config::ApiVersion,
    customer::{
        CustomerService, Shape,
        view::{Attributes, Rules, View},
    },
    domain::{
        Digester, IdentifierKind, PartMap, PartSet, UniqueKinds,
        aliases::{AliasReader, CustomKeyAttribute},
    },
    engage::{Admission, CallLimits, EngageClient, Reader, overview_parts},
};
use jiff::{Timestamp, tz::TimeZone};

use crate::{
    exchange::{Scripted, Wire},
    model::{
        NEGATIVE_LIFETIME, PATIENCE, STALE_IF_ERROR, STALE_IF_SLOW, STALE_WHILE_REVALIDATE,
        TIMEOUT, lifetime,
    },
    ops::Case,
    world::RULES,
};

/// The rate, the burst and the greatest number of calls at once of a small budget.
pub(crate) const SMALL_BUDGET: (u32, u32, usize) = (4, 3, 4);
/// The limits of a budget that is never exhausted.
const LARGE_BUDGET: (u32, u32, usize) = (1_000_000, 1_000_000, 10_000);

/// The service, and the handles by which the test controls it.
pub(crate) struct Setup {
    pub(crate) customers: CustomerService,
    pub(crate) wire: Arc<Mutex<Wire>>,
    pub(crate) clock: ManualClock,
    pub(crate) digester: Digester,
}

/// The service of a case.
pub(crate) fn service(case: &Case) -> Setup {
    let start: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
    let manual = ManualClock::new(start);
    // The clock and the world begin at zero, so a response that lags at first shows the world as it began.
    let clock = Clock::from(manual.clone());
    let digester = Digester::with_key(b"a key of tests");
    let custom_key = case
        .knows_custom_key
        .then_some(CustomKeyAttribute::MemberNumber);
    let alias_reader = AliasReader {
        rules: RULES,
        custom_key,
        digester: digester.clone(),
    };
    let reader = Reader {
        alias_reader: alias_reader.clone(),
        time_zone: TimeZone::UTC,
        keeps_national_id: false,
        points_in_overview: case.version == ApiVersion::V2,
    };
    let wire: Arc<Mutex<Wire>> = Arc::default();
    let (rate, burst, slots) = if case.small_budget {
        SMALL_BUDGET
    } else {
        LARGE_BUDGET
    };
    let limits = CallLimits {
        requests_per_second: f64::from(rate),
        burst,
        max_concurrency: slots,
        slow_after: TIMEOUT,
    };
    let admission = Admission::new(limits, Arc::default(), clock.clone());
    let exchange = Scripted::new(Arc::clone(&wire), clock.clone(), TIMEOUT);
    let engage = EngageClient::over(
        Box::new(exchange),
        admission,
        reader,
        case.version,
        clock.clone(),
    );
    let policy = Policy {
        lifetimes: PartMap::from_fn(lifetime),
        history_lifetime: STALE_WHILE_REVALIDATE,
        stale_while_revalidate: STALE_WHILE_REVALIDATE,
        stale_if_error: STALE_IF_ERROR,
        stale_if_slow: STALE_IF_SLOW,
        negative_lifetime: NEGATIVE_LIFETIME,
        overview_lag: Duration::from_secs(case.overview_lag),
        overview_parts: overview_parts(case.version),
        feed: None,
    };
    let bounds = Bounds {
        max_bytes: case.max_bytes,
        longest_flight: TIMEOUT * 10 + Duration::from_secs(20),
    };
    let customers = CustomerService::new(
        engage,
        alias_reader,
        rules(),
        policy,
        bounds,
        PATIENCE,
        clock,
    );
    // Custom keys are unique only if it is known which attribute they are in.
    let by_key = custom_key.map(|_| IdentifierKind::CustomKey);
    let kinds = [IdentifierKind::Email].into_iter().chain(by_key);
    let kinds = kinds.filter(|_| case.learns);
    let customers = customers.with_learned_aliases(UniqueKinds::new(kinds, custom_key));
    Setup {
        customers,
        wire,
        clock: manual,
        digester,
    }
}

/// The longest lag of the world's overview.
pub(crate) fn lag(case: &Case) -> Duration {
    Duration::from_secs(case.overview_lag) * case.lag_quarters / 4
}

/// The full view of the requested parts.
pub(crate) fn shape(requested: PartSet) -> Shape {
    Shape {
        view: View::Full,
        channel: None,
        requested,
        expiring_within: rules().expiring_within,
    }
}

fn rules() -> Rules {
    Rules {
        storefront: Attributes::new(&[]),
        full: Attributes::new(&["*".to_owned()]),
        expiring_within: Duration::from_secs(14 * 86_400),
        default_point_definition: None,
        phone_region: RULES.phone_region,
    }
}
