//! Whether Engage can be reached, and accepts what is configured.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use jiff::tz::TimeZone;

use super::{
    clocks,
    endpoint::{Endpoint, KEYS_AND_DATA},
    reach,
    report::{Check, first_failed},
    tls,
};
use crate::{
    app::settings::{alias_custom_key, upstream_limits},
    clock::Clock,
    config::{ApiVersion, Config, EngageConfig},
    domain::{
        ContactType, Digester, Identifier, IdentifierRules, Lookup, aliases::AliasReader,
        email::Email,
    },
    engage::{Admission, CallLimits, CallMetrics, Error, PointDefinitions, Probe, Reader},
};

const NAMES: [&str; 3] = ["engage-name", "engage-connection", "engage-tls"];
const KEY: &str = "engage-key";
const ENDPOINTS: &str = "engage-endpoints";
const CONTACT_TYPE: &str = "engage-contact-type";
const POINT_DEFINITIONS: &str = "engage-point-definitions";
const CHANGES: &str = "engage-changes";
const RATE: &str = "engage-rate";
const CLOCK: &str = "engage-clock";

/// The most calls per second that Engage asks clients to make with one key.
const ENGAGE_RATE_LIMIT: f64 = 50.0;
/// More calls than all checks make together.
const MAX_CALLS: u32 = 20;
/// If the clocks differ by more, the wrong vouchers and promotions count as valid.
const CLOCK_LIMIT: Duration = Duration::from_secs(60);

/// All checks of Engage.
pub(super) async fn check(config: &Config, clock: &Clock) -> Result<Vec<Check>, anyhow::Error> {
    let url = reqwest::Url::parse(&config.engage.base_url).context("engage.base_url")?;
    let authorities = config.engage.ca_file.as_ref().map(std::fs::read);
    let authorities = authorities
        .transpose()
        .context("engage.ca_file can't be read")?;
    let endpoint = Endpoint {
        names: NAMES,
        key: "engage.base_url",
        url: &url,
        roots: tls::trusted(authorities.as_deref())?,
        authority_remedy: "give its certificate in engage.ca_file, if you know it: something between here and Engage \
                           may read what it encrypts",
        connect_timeout: config.engage.connect_timeout,
        exposes: Some(KEYS_AND_DATA),
    };
    let mut checks = reach::check(&endpoint, clock).await;
    if let Some(cause) = first_failed(&checks) {
        let rest = [
            KEY,
            ENDPOINTS,
            CONTACT_TYPE,
            POINT_DEFINITIONS,
            CHANGES,
            RATE,
            CLOCK,
        ];
        checks.extend(rest.map(|name| Check::skipped_after(name, cause)));
        return Ok(checks);
    }
    let mut calls = Calls {
        config: &config.engage,
        polls_changes: config.webhooks.changes_poll.is_some(),
        probe: Probe::new(
            &config.engage,
            reader(config)?,
            admission(config, clock),
            clock.clone(),
        )?,
        checks,
        is_limited: false,
    };
    calls.run().await;
    Ok(calls.checks)
}

/// A reader of responses like the service's, with the settings that the checks need.
fn reader(config: &Config) -> Result<Reader, anyhow::Error> {
    let phone_region = config.phone_region().context("identifiers.phone_region")?;
    let rules = IdentifierRules {
        phone_region,
        check_digits: config.identifiers.check_digits,
        national_id_country: None,
    };
    Ok(Reader {
        alias_reader: AliasReader {
            rules,
            custom_key: alias_custom_key(config),
            digester: Digester::random(),
        },
        time_zone: TimeZone::get(&config.engage.time_zone).context("engage.time_zone")?,
        keeps_national_id: false,
        points_in_overview: config.engage.api_version == ApiVersion::V2,
    })
}

/// The call budget of the checks: this replica's share, but no check waits for another.
fn admission(config: &Config, clock: &Clock) -> Admission {
    let metrics = Arc::new(CallMetrics::default());
    let share = upstream_limits(config);
    let limits = CallLimits {
        burst: share.burst.max(MAX_CALLS),
        ..share
    };
    Admission::new(limits, metrics, clock.clone())
}

/// The checks that call Engage.
struct Calls<'a> {
    config: &'a EngageConfig,
    polls_changes: bool,
    probe: Probe,
    checks: Vec<Check>,
    /// Whether Engage refused a call because of the rate. Later calls then wait, or are not made.
    is_limited: bool,
}

impl Calls<'_> {
    async fn run(&mut self) {
        let key = self.key().await;
        self.checks.push(key);
        match first_failed(&self.checks) {
            None if !self.is_limited => {
                let check = self.endpoints().await;
                self.checks.push(check);
                let check = self.contact_type().await;
                self.checks.push(check);
                let check = self.point_definitions().await;
                self.checks.push(check);
                let check = self.changes().await;
                self.checks.push(check);
            }
            cause => {
                let cause = cause.unwrap_or(RATE);
                let rest = [ENDPOINTS, CONTACT_TYPE, POINT_DEFINITIONS, CHANGES];
                let rest = rest.map(|name| Check::skipped_after(name, cause));
                self.checks.extend(rest);
            }
        }
        self.checks.push(self.rate());
        self.checks.push(clocks::check(
            CLOCK,
            self.probe.clock_difference(),
            CLOCK_LIMIT,
            "vouchers and promotions end too early or too late, and webhooks may be refused",
        ));
    }

    async fn key(&mut self) -> Check {
        match self.probe.overview().await {
            Ok(()) => Check::ok(KEY, "accepted; an unknown contact is answered with 404"),
            Err(error) => self.failed(KEY, &error),
        }
    }

    async fn endpoints(&mut self) -> Check {
        let failures = self.probe.entity_endpoints().await;
        let Some((_, first)) = failures.first() else {
            return Check::ok(
                ENDPOINTS,
                "contacts, promotions, vouchers and points answer",
            );
        };
        let refused: Vec<_> = failures.iter().map(|(group, _)| group.as_str()).collect();
        let of = if failures.iter().any(|(_, error)| *error == Error::Forbidden) {
            Error::Forbidden
        } else {
            first.clone()
        };
        let mut check = self.failed(ENDPOINTS, &of);
        check.what = format!("{}: {}", refused.join(", "), check.what);
        check
    }

    async fn contact_type(&mut self) -> Check {
        let Some(given) = &self.config.default_contact_type else {
            let what = "engage.default_contact_type is unset: each look-up except by contact id must name one";
            return Check::ok(CONTACT_TYPE, what);
        };
        match self.probe.has_contact_type(&unknown_of(given)).await {
            Ok(true) => Check::ok(CONTACT_TYPE, format!("the tenant has {given}")),
            Ok(false) => Check::failed(
                CONTACT_TYPE,
                format!("the tenant has no contact type {given}: lookups without one get a 400"),
                "give one of the tenant's in engage.default_contact_type, such as Member",
            ),
            Err(error) => self.failed(CONTACT_TYPE, &error),
        }
    }

    async fn point_definitions(&mut self) -> Check {
        let default = self.config.default_point_definition.as_deref();
        if default.is_none() && !self.config.point_names {
            return Check::skipped(POINT_DEFINITIONS, "engage.point_names is off");
        }
        match self.probe.point_definitions(default).await {
            Ok(found) => judge(found, default),
            Err(Error::Failed { status: 404, .. }) if default.is_none() => Check::warning(
                POINT_DEFINITIONS,
                "this Engage does not list its kinds of points: they have no names in responses",
                "set engage.point_names = false",
            ),
            Err(error) => self.failed(POINT_DEFINITIONS, &error),
        }
    }

    async fn changes(&mut self) -> Check {
        match (self.probe.changes().await, self.polls_changes) {
            (Ok(()), true) => Check::ok(CHANGES, "Engage lists changed contacts"),
            (Ok(()), false) => Check::ok(
                CHANGES,
                "Engage lists changed contacts; webhooks.changes_poll is unset, so it is not asked",
            ),
            (Err(error), _) if is_about_rate(&error) => self.failed(CHANGES, &error),
            (Err(_), false) => Check::ok(
                CHANGES,
                "not available to this key, and not used: webhooks.changes_poll is unset",
            ),
            (Err(error), true) => {
                let (what, _) = describe(&error);
                Check::failed(
                    CHANGES,
                    format!(
                        "webhooks.changes_poll is set, and changed contacts are not listed: {what}"
                    ),
                    "ask Voyado to switch /contacts/changes on for the tenant, or remove webhooks.changes_poll",
                )
            }
        }
    }

    fn rate(&self) -> Check {
        let EngageConfig {
            requests_per_second: rate,
            burst,
            replicas,
            ..
        } = self.config;
        let replicas = match replicas {
            1 => "one replica".to_owned(),
            several => format!("{several} replicas together"),
        };
        let what = format!("{rate} calls a second, {burst} at once, for {replicas}");
        if self.is_limited {
            return Check::failed(
                RATE,
                "Engage refuses calls with this key because there are too many (429)",
                "see which other programs use the key, and give each its own; or lower engage.requests_per_second",
            );
        }
        let is_over = *rate > ENGAGE_RATE_LIMIT;
        if is_over {
            return Check::warning(
                RATE,
                format!("{what}; Engage asks for at most 50"),
                "lower engage.requests_per_second, unless you agreed on more",
            );
        }
        Check::ok(RATE, what)
    }

    /// The check for this error. An error about the rate is reported by the check of the rate instead.
    fn failed(&mut self, name: &'static str, error: &Error) -> Check {
        if is_about_rate(error) {
            self.is_limited = true;
            return Check::skipped_after(name, RATE);
        }
        let (what, remedy) = describe(error);
        Check::failed(name, what, remedy)
    }
}

/// Compares the point definitions with the configured one.
fn judge(found: PointDefinitions, default: Option<&str>) -> Check {
    let count = found.count;
    match default {
        Some(_) if found.contain => Check::ok(
            POINT_DEFINITIONS,
            format!("engage.default_point_definition is one of {count}"),
        ),
        Some(_) => Check::failed(
            POINT_DEFINITIONS,
            format!(
                "engage.default_point_definition is none of the tenant's {count}: points.balance is null"
            ),
            "give the id of one of them: Engage lists them at /point-accounts/definitions",
        ),
        None if count > 1 => Check::warning(
            POINT_DEFINITIONS,
            format!(
                "the tenant has {count} kinds of points: points.balance is null for a contact with several"
            ),
            "set engage.default_point_definition",
        ),
        None => Check::ok(POINT_DEFINITIONS, format!("the tenant has {count}")),
    }
}

/// A lookup of this contact type by an address that no contact has.
fn unknown_of(contact_type: &str) -> Lookup {
    let address = format!("check-{:016x}@example.com", fastrand::u64(..));
    let email = Email::parse(&address).expect("an address");
    let contact_type = ContactType::parse(contact_type);
    Lookup::new(Identifier::Email(email), contact_type, &Digester::random())
}

fn is_about_rate(error: &Error) -> bool {
    matches!(error, Error::RateLimited { .. }) || error.is_for_lack_of_budget()
}

/// A description of the error, and the remedy.
fn describe(error: &Error) -> (String, &'static str) {
    let remedy = match error {
        Error::Unauthorized => {
            "give the whole key of this tenant in engage.api_key; it may have been withdrawn"
        }
        Error::Forbidden => {
            "see the key in Engage: it lacks a right, or its list of allowed addresses lacks this machine's"
        }
        Error::Timeout => "try again; if it persists, ask Voyado, or raise engage.timeout",
        Error::Failed { status: 404, .. } => {
            "see whether engage.base_url leads to Engage, and engage.api_version is the tenant's"
        }
        Error::Invalid { .. } => {
            "see whether engage.base_url leads to Engage: a proxy or a login page may answer"
        }
        Error::Failed { .. } | Error::Unreachable { .. } => {
            "try again; if it persists, ask Voyado whether Engage works"
        }
        _ => "ask Voyado's support what the tenant lacks",
    };
    (format!("{error}"), remedy)
}
