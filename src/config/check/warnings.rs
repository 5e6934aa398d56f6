//! Warnings: settings that work and are probably a mistake.

use std::time::Duration;

use super::engage::leads_to_loopback;
use crate::{
    config::{ClientConfig, Config, auth::default_identifiers, memory, mistakes::Mistake},
    domain::IdentifierKind,
};

/// The most calls per second that Engage asks clients to make with one key.
const ENGAGE_RATE_LIMIT: f64 = 50.0;
/// Lifetimes from this on are only for services that receive webhooks.
const LONG: Duration = Duration::from_secs(60 * 60);

impl Config {
    /// Settings that work and are probably a mistake.
    pub fn warnings(&self) -> Vec<Mistake> {
        let checks = [
            self.warn_about_log(),
            self.warn_about_rate(),
            self.warn_about_connecting(),
            self.warn_about_plain_http(),
            self.warn_about_custom_key(),
            self.warn_about_memory(),
            self.warn_about_webhooks(),
            self.warn_about_plain_redis(),
            self.warn_about_plain_otlp(),
        ];
        let mut warnings: Vec<_> = checks.into_iter().flatten().collect();
        warnings.extend(self.warn_about_lifetimes());
        warnings
    }

    fn warn_about_log(&self) -> Option<Mistake> {
        self.logs_errors_alone().then(|| {
            Mistake::new(
                "telemetry.log",
                "drops alarms of level warn",
                "use at least \"warn\"",
            )
        })
    }

    fn is_on_loopback(&self) -> bool {
        let url = reqwest::Url::parse(&self.engage.base_url);
        url.is_ok_and(|url| leads_to_loopback(&url))
    }

    fn warn_about_rate(&self) -> Option<Mistake> {
        let is_over = self.engage.requests_per_second > ENGAGE_RATE_LIMIT && !self.is_on_loopback();
        is_over.then(|| {
            Mistake::new(
                "engage.requests_per_second",
                "is more than 50",
                "Engage asks for at most 50 per API key, unless you agreed on more",
            )
        })
    }

    fn warn_about_connecting(&self) -> Option<Mistake> {
        let engage = &self.engage;
        (engage.connect_timeout > engage.timeout).then(|| {
            Mistake::new(
                "engage.connect_timeout",
                "is longer than engage.timeout, which ends the call first",
                "make it shorter",
            )
        })
    }

    fn warn_about_plain_http(&self) -> Option<Mistake> {
        let url = reqwest::Url::parse(&self.engage.base_url);
        let is_plain = url.is_ok_and(|url| url.scheme() == "http") && !self.is_on_loopback();
        is_plain.then(|| {
            Mistake::new(
                "engage.allow_plain_http",
                "sends the API key and personal data unencrypted",
                "use https wherever the network is not your own",
            )
        })
    }

    /// Warns only if a client's list was configured: the default list contains `customKey`.
    fn warn_about_custom_key(&self) -> Option<Mistake> {
        let asks = |client: &ClientConfig| {
            let kinds = &client.identifiers;
            let asks = |kind| kinds.contains(&kind);
            *kinds != default_identifiers()
                && (asks(IdentifierKind::CustomKey) || asks(IdentifierKind::Any))
        };
        let is_open = self.engage.custom_key.is_none() && self.auth.clients.iter().any(asks);
        is_open.then(|| {
            Mistake::new(
                "engage.custom_key",
                "is unset while a client may look up by customKey or any",
                "set the field that customKey searches in your tenant: until then a match in either field counts",
            )
        })
    }

    fn warn_about_memory(&self) -> Option<Mistake> {
        let is_beyond = memory::limit().is_some_and(|limit| self.cache.max_size.as_u64() > limit);
        is_beyond.then(|| {
            Mistake::new(
                "cache.max_size",
                "is more than the memory of this machine or container",
                "leave memory for the rest of the process: docs/OPERATIONS.md has the sizes",
            )
        })
    }

    fn warn_about_webhooks(&self) -> Option<Mistake> {
        let is_alone = self.redis.url.is_none();
        let is_shared = is_alone && !self.webhooks.secrets.is_empty() && self.engage.replicas > 1;
        is_shared.then(|| {
            Mistake::new(
                "webhooks.secrets",
                "are set while engage.replicas is more than 1",
                "a webhook reaches only one replica: set redis.url, or give each replica its own endpoint",
            )
        })
    }

    fn warn_about_plain_redis(&self) -> Option<Mistake> {
        let url = self.redis.parsed_url()?.ok()?;
        let is_plain = !url.uses_tls && !url.leads_to_loopback();
        is_plain.then(|| {
            Mistake::new(
                "redis.url",
                "leads to another machine without TLS",
                "what is stored is encrypted, the password and the commands are not: use rediss:// wherever the network is not your own",
            )
        })
    }

    /// Spans contain no personal data, but the header fields may be a credential.
    fn warn_about_plain_otlp(&self) -> Option<Mistake> {
        let url = self.telemetry.otlp_url()?.ok()?;
        let has_fields = self.telemetry.otlp_headers.is_some();
        let is_plain = url.scheme() == "http" && !leads_to_loopback(&url);
        (has_fields && is_plain).then(|| {
            Mistake::new(
                "telemetry.otlp_headers",
                "are sent to another machine without TLS",
                "use https wherever the network is not your own",
            )
        })
    }

    fn warn_about_lifetimes(&self) -> Vec<Mistake> {
        let cache = &self.cache;
        let lifetimes = [
            ("cache.profile_lifetime", cache.profile_lifetime),
            ("cache.promotions_lifetime", cache.promotions_lifetime),
            ("cache.vouchers_lifetime", cache.vouchers_lifetime),
            ("cache.points_lifetime", cache.points_lifetime),
        ];
        let has_no_webhooks = self.webhooks.secrets.is_empty();
        let long = lifetimes
            .into_iter()
            .filter(|(_, lifetime)| has_no_webhooks && *lifetime >= LONG);
        let warning = |(key, _)| {
            Mistake::new(
                key,
                "is an hour or more while no webhooks are configured",
                "changes become visible only after that time: set webhooks.secrets, or a shorter lifetime",
            )
        };
        long.map(warning).collect()
    }
}
