//! What a configuration must keep to, checked at the start and never at the first request: every
//! mistake is told at once, with its key and its remedy.

mod auth;
mod secrets;
mod webhooks;

use std::{fmt, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::Serializer;
use tracing_subscriber::EnvFilter;

use super::Config;
use crate::domain::ContactType;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    key: String,
    what: String,
    remedy: String,
}

impl Mistake {
    /// The key, what is wrong with it, and what to do.
    pub fn new(key: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// Everything that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Adds one.
    pub fn add(
        &mut self,
        key: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push(Mistake::new(key, what, remedy));
    }

    /// Nothing was wrong, or all that was.
    pub fn or_ok(self) -> Result<(), Mistakes> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Mistake { key, what, remedy }) in self.0.iter().enumerate() {
            let end = if index + 1 == self.0.len() { "" } else { "\n" };
            write!(f, "{key}: {what}; {remedy}{end}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Writes that a secret is set, never the secret.
pub fn masked<S: Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match secret {
        Some(_) => serializer.serialize_str("********"),
        None => serializer.serialize_none(),
    }
}

/// Writes how many secrets there are, never one of them.
pub fn masked_list<S: Serializer>(
    secrets: &[SecretString],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(secrets.iter().map(|_| "********"))
}

/// One call in a quarter of an hour: below, the time between two calls soon can't be told.
const MIN_RATE: f64 = 0.001;

/// Orchestrators kill what takes longer.
const MAX_SHUTDOWN_DELAY: Duration = Duration::from_secs(300);

/// From what few answers exceed to what a replica can hold many of at once.
const RESPONSE_SIZES: std::ops::RangeInclusive<u64> = 64 << 10..=64 << 20;

/// What the storefront view never holds.
const NATIONAL_ID: &str = "socialSecurityNumber";

impl Config {
    /// Checks what the types can't say.
    pub fn validate(&self) -> Result<(), Mistakes> {
        let mut mistakes = Mistakes::default();
        self.check_server(&mut mistakes);
        self.check_operations(&mut mistakes);
        self.check_engage(&mut mistakes);
        self.check_budget(&mut mistakes);
        self.check_cache(&mut mistakes);
        self.check_auth(&mut mistakes);
        self.check_secrets(&mut mistakes);
        self.check_views(&mut mistakes);
        self.check_webhooks(&mut mistakes);
        if EnvFilter::try_new(&self.telemetry.log).is_err() {
            mistakes.add(
                "telemetry.log",
                "is not a filter",
                "give a level such as \"info\", or pairs such as \"info,engage_bff=debug\"",
            );
        }
        if self.phone_region().is_none() {
            mistakes.add(
                "identifiers.phone_region",
                "is not a country",
                "give an ISO 3166-1 alpha-2 code such as \"SE\"",
            );
        }
        mistakes.or_ok()
    }

    /// The country whose national phone numbers are understood.
    pub fn phone_region(&self) -> Option<phonenumber::country::Id> {
        self.identifiers.phone_region.parse().ok()
    }

    fn check_server(&self, mistakes: &mut Mistakes) {
        let server = &self.server;
        for (key, value) in [
            ("server.request_timeout", server.request_timeout),
            ("server.header_timeout", server.header_timeout),
            ("server.body_timeout", server.body_timeout),
            ("server.idle_timeout", server.idle_timeout),
            ("server.write_timeout", server.write_timeout),
            ("engage.timeout", self.engage.timeout),
            ("engage.connect_timeout", self.engage.connect_timeout),
        ] {
            if value.is_zero() {
                mistakes.add(key, "is zero", "give a duration such as \"5s\"");
            }
        }
        if server.shutdown_delay > MAX_SHUTDOWN_DELAY {
            mistakes.add(
                "server.shutdown_delay",
                "is longer than any load balancer needs to notice",
                "give \"5m\" at most",
            );
        }
        if server.max_connections == 0 {
            mistakes.add("server.max_connections", "is zero", "give at least 1");
        }
        if server.max_body.as_u64() < 256 {
            mistakes.add(
                "server.max_body",
                "is too small for a look-up",
                "give at least \"256B\"",
            );
        }
    }

    fn check_operations(&self, mistakes: &mut Mistakes) {
        let operations = &self.operations;
        let token = operations.token.as_ref().map(ExposeSecret::expose_secret);
        let can_be_sent =
            |token: &str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
        if token.is_some_and(|token| !can_be_sent(token)) {
            mistakes.add(
                "operations.token",
                "is empty or holds blanks",
                "give printable ASCII without blanks",
            );
        }
        if !operations.hosts.iter().all(|host| is_host(host)) {
            mistakes.add(
                "operations.hosts",
                "holds what is neither a host name nor an address",
                "give names without scheme and port, such as \"engage-bff.example.com\"; \"*\" is none",
            );
        }
        if token.is_none() && !operations.listen.ip().is_loopback() {
            mistakes.add(
                "operations.token",
                "is missing while operations.listen is reachable from other machines",
                "give BFF_OPERATIONS__TOKEN_FILE, or listen on loopback",
            );
        }
    }

    fn check_engage(&self, mistakes: &mut Mistakes) {
        let engage = &self.engage;
        if let Err(what) = base_url(&engage.base_url, engage.allow_plain_http) {
            mistakes.add(
                "engage.base_url",
                what,
                "give https://{client}.voyado.com without a path (plain http on loopback only)",
            );
        }
        let api_key = engage
            .api_key
            .as_ref()
            .map_or("", |key| key.expose_secret());
        if api_key.is_empty() || api_key.bytes().any(|byte| !byte.is_ascii_graphic()) {
            mistakes.add(
                "engage.api_key",
                "is missing or holds blanks",
                "give BFF_ENGAGE__API_KEY or BFF_ENGAGE__API_KEY_FILE",
            );
        }
        let printable = |byte: u8| (0x20..0x7f).contains(&byte);
        if engage.user_agent.is_empty() || !engage.user_agent.bytes().all(printable) {
            mistakes.add("engage.user_agent", "can't be sent", "give Product/Version");
        }
        if let Some(contact_type) = &engage.default_contact_type
            && ContactType::parse(contact_type).is_none()
        {
            mistakes.add(
                "engage.default_contact_type",
                "is not a contact type",
                "give one of the tenant's, such as \"Member\"",
            );
        }
        if !RESPONSE_SIZES.contains(&engage.max_response_size.as_u64()) {
            mistakes.add(
                "engage.max_response_size",
                "is below 64 KiB or above 64 MiB",
                "give a size such as \"1MiB\"",
            );
        }
        if jiff::tz::TimeZone::get(&engage.time_zone).is_err() {
            mistakes.add(
                "engage.time_zone",
                "is not a time zone",
                "give an IANA name such as \"Europe/Stockholm\"",
            );
        }
    }

    fn check_budget(&self, mistakes: &mut Mistakes) {
        let engage = &self.engage;
        let rate = engage.requests_per_second;
        if !rate.is_finite() || rate < MIN_RATE {
            mistakes.add(
                "engage.requests_per_second",
                "is not a rate",
                "give at least 0.001; Engage asks for at most 50",
            );
        }
        if engage.burst == 0 {
            mistakes.add("engage.burst", "is zero", "give at least 1");
        }
        if engage.replicas == 0 {
            mistakes.add("engage.replicas", "is zero", "give at least 1");
        } else if !engage.burst.is_multiple_of(engage.replicas) {
            mistakes.add(
                "engage.burst",
                "can't be shared out evenly among engage.replicas",
                "give a multiple of their number",
            );
        }
        if engage.max_concurrency == 0 {
            mistakes.add("engage.max_concurrency", "is zero", "give at least 1");
        }
    }

    fn check_cache(&self, mistakes: &mut Mistakes) {
        let cache = &self.cache;
        if cache.max_size.as_u64() < 1 << 20 {
            mistakes.add(
                "cache.max_size",
                "is below one MiB",
                "give at least \"1MiB\"",
            );
        }
        if cache.stale_if_error < cache.stale_while_revalidate {
            mistakes.add(
                "cache.stale_if_error",
                "is shorter than cache.stale_while_revalidate",
                "both windows begin where the lifetime ends: make it at least as long",
            );
        }
        let day = Duration::from_secs(24 * 60 * 60);
        for (key, value) in [
            ("cache.profile_lifetime", cache.profile_lifetime),
            ("cache.audiences_lifetime", cache.audiences_lifetime),
            ("cache.promotions_lifetime", cache.promotions_lifetime),
            ("cache.vouchers_lifetime", cache.vouchers_lifetime),
            ("cache.points_lifetime", cache.points_lifetime),
            ("cache.stale_if_error", cache.stale_if_error),
        ] {
            if value > day {
                mistakes.add(
                    key,
                    "is longer than a day",
                    "personal data is cached for a day at most",
                );
            }
        }
    }

    fn check_views(&self, mistakes: &mut Mistakes) {
        let key = "views.storefront.attributes";
        let storefront = &self.views.storefront.attributes;
        if storefront.iter().any(|name| name == NATIONAL_ID) {
            mistakes.add(
                key,
                "lists the national id",
                "it never leaves in this view: list it in views.full.attributes",
            );
        }
        if storefront.iter().any(|name| name == "*") {
            mistakes.add(
                key,
                "opens every attribute to shoppers",
                "list those that may leave by name",
            );
        }
    }
}

/// Whether it is an IP address, or a host name (RFC 1123, 2.1, and with underscores as container engines allow them).
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    text.parse::<std::net::IpAddr>().is_ok() || (name.len() <= 253 && name.split('.').all(is_label))
}

/// Whether the URL leads to this machine.
fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address: Option<std::net::IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || address.is_some_and(|ip| ip.is_loopback())
}

/// Whether Engage may be asked there.
fn base_url(text: &str, allow_plain_http: bool) -> Result<(), &'static str> {
    let url = reqwest::Url::parse(text).map_err(|_| "is not a URL")?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) || allow_plain_http => {}
        _ => return Err("is not https"),
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("has more than a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a credential");
    }
    Ok(())
}
