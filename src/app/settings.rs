//! The settings of each part of the service, from the configuration.

use std::{sync::Arc, time::Duration};

use ::http::HeaderValue;
use anyhow::Context;
use jiff::tz::TimeZone;
use secrecy::ExposeSecret;

use crate::{
    cache::{Bounds, feed::Feed, freshness::Policy},
    config::{self, AuditedViews, Config, CustomKeyField, NationalIdCountry},
    customer::view::{Attributes, Rules},
    domain::{
        ContactType, Digester, IdentifierRules, Part, PartMap,
        aliases::{AliasReader, CustomKeyAttribute},
        national_id,
    },
    engage::{CallLimits, longest_call, overview_parts},
    http::{self, LogRules, LookupRules, PROBE_CONNECTIONS},
    telemetry, traces,
};

/// The fewest connections with which the service starts, unless fewer are configured.
pub const MIN_CONNECTIONS: usize = 16;
/// Concurrent connections to the operations listener.
const OPERATIONS_CONNECTIONS: usize = 64;
/// How long the operations listener may take to finish responses after the data listener has ended.
const OPERATIONS_GRACE: Duration = Duration::from_secs(5);
/// Descriptors for the standard streams, the listeners, the runtime, the name server, the token issuer, the shared
/// tier, the collector of traces and files.
const OTHER_DESCRIPTORS: usize = 32;

pub(super) fn alias_reader(
    config: &Config,
    phone_region: phonenumber::country::Id,
    digester: Digester,
) -> AliasReader {
    AliasReader {
        rules: IdentifierRules {
            phone_region,
            check_digits: config.identifiers.check_digits,
            national_id_country: config.identifiers.national_id_country.map(
                |country| match country {
                    NationalIdCountry::Se => national_id::Country::Sweden,
                    NationalIdCountry::Fi => national_id::Country::Finland,
                },
            ),
        },
        custom_key: alias_custom_key(config),
        digester,
    }
}

/// The attribute that `customKey` searches, if it is known.
pub(super) fn alias_custom_key(config: &Config) -> Option<CustomKeyAttribute> {
    config.engage.custom_key.map(|key| match key {
        CustomKeyField::MemberNumber => CustomKeyAttribute::MemberNumber,
        CustomKeyField::ExternalId => CustomKeyAttribute::ExternalId,
    })
}

/// This replica's share of the API key's call budget.
pub fn upstream_limits(config: &Config) -> CallLimits {
    let engage = &config.engage;
    CallLimits {
        requests_per_second: engage.requests_per_second / f64::from(engage.replicas),
        burst: engage.burst / engage.replicas,
        max_concurrency: engage.max_concurrency,
        slow_after: engage.timeout / 2,
    }
}

pub(super) fn digester(config: &Config) -> Digester {
    match &config.telemetry.digest_key {
        Some(key) => Digester::with_key(key.expose_secret().as_bytes()),
        None => Digester::random(),
    }
}

/// The feed of changes, from webhooks and from other replicas through the shared tier. `None` if there is neither
/// source: without a signing secret no webhooks are accepted.
pub(super) fn feed(config: &config::WebhookConfig, has_shared_tier: bool) -> Option<Arc<Feed>> {
    let silence = (!config.secrets.is_empty()).then_some(config.silence);
    let is_some = silence.is_some() || has_shared_tier;
    is_some.then(|| {
        Arc::new(Feed::new(
            silence,
            has_shared_tier,
            config.fallback_lifetime,
        ))
    })
}

/// The cache's lifetimes and windows, for a replica without a shared tier.
pub fn policy(config: &Config) -> Policy {
    let cache = &config.cache;
    Policy {
        lifetimes: PartMap::from_fn(|part| match part {
            Part::Profile => cache.profile_lifetime,
            Part::Audiences => cache.audiences_lifetime,
            Part::Promotions => cache.promotions_lifetime,
            Part::Vouchers => cache.vouchers_lifetime,
            Part::Points => cache.points_lifetime,
        }),
        history_lifetime: cache.history_lifetime,
        stale_while_revalidate: cache.stale_while_revalidate,
        stale_if_error: cache.stale_if_error,
        stale_if_slow: cache.stale_if_slow,
        negative_lifetime: cache.negative_lifetime,
        overview_lag: config.engage.overview_lag,
        overview_parts: overview_parts(config.engage.api_version),
        feed: feed(&config.webhooks, false),
    }
}

/// The cache's size limit, and the longest time that a call may be in flight.
pub fn bounds(config: &Config) -> Bounds {
    Bounds {
        max_bytes: config.cache.max_size.as_u64(),
        longest_flight: longest_call(config.engage.timeout),
    }
}

pub(super) fn cors_origins(config: &Config) -> Result<Vec<HeaderValue>, anyhow::Error> {
    let origins = config.server.cors_origins.iter();
    origins
        .map(|origin| HeaderValue::from_str(origin).context("server.cors_origins"))
        .collect()
}

pub(super) fn view_rules(config: &Config, phone_region: phonenumber::country::Id) -> Rules {
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

pub(super) fn lookup_rules(
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
        request_timeout: config.server.request_timeout,
        max_body: usize::try_from(config.server.max_body.as_u64()).unwrap_or(usize::MAX),
        body_timeout: config.server.body_timeout,
    }
}

pub(super) fn log_rules(config: &Config) -> LogRules {
    LogRules {
        access_log: config.telemetry.access_log,
        audits_storefront: config.telemetry.audit == AuditedViews::All,
    }
}

pub(super) fn limits(config: &Config) -> http::ConnectionLimits {
    let server = &config.server;
    http::ConnectionLimits {
        header_timeout: server.header_timeout,
        idle_timeout: server.idle_timeout,
        write_timeout: server.write_timeout,
        body_timeout: server.body_timeout,
        max_body: server
            .max_body
            .as_u64()
            .max(config.webhooks.max_body.as_u64()),
        max_connections: server.max_connections,
        shutdown_grace: grace_for_answers(config),
    }
}

/// The part of the shutdown's grace period that responses may use. The rest is for the last log lines and trace
/// messages.
pub(super) fn grace_for_answers(config: &Config) -> Duration {
    let grace = telemetry::grace_for_answers(config.server.shutdown_grace);
    if config.telemetry.otlp_endpoint.is_none() {
        return grace;
    }
    grace.saturating_sub(traces::FLUSH).max(grace / 2)
}

/// The limits of the operations listener: few connections, and a short grace period.
pub(super) fn operations_limits(config: &Config) -> http::ConnectionLimits {
    let limits = limits(config);
    http::ConnectionLimits {
        max_connections: OPERATIONS_CONNECTIONS,
        shutdown_grace: limits.shutdown_grace.min(OPERATIONS_GRACE),
        ..limits
    }
}

/// The descriptors that the process needs in addition to those of callers' connections.
pub fn reserved_descriptors(config: &Config) -> usize {
    // Twice, because connections to an address that Engage no longer has may still be open.
    let engage = config.engage.max_concurrency.saturating_mul(2);
    let operations = OPERATIONS_CONNECTIONS + PROBE_CONNECTIONS;
    engage.saturating_add(operations + PROBE_CONNECTIONS + OTHER_DESCRIPTORS)
}
