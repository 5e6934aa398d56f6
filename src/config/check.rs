//! The checks that types can't express, made at the start instead of at the first request. All mistakes are reported
//! together, each with its key and its remedy.

mod auth;
mod bounds;
mod engage;
mod jwt;
mod listeners;
mod log;
mod otlp;
mod redis;
mod secrets;
mod unique;
mod warnings;
mod webhooks;

use super::{Config, mistakes::Mistakes};

/// The attribute that the storefront view never contains.
const NATIONAL_ID: &str = "socialSecurityNumber";

impl Config {
    /// Checks everything that types can't express.
    pub fn validate(&self) -> Result<(), Mistakes> {
        let mut mistakes = Mistakes::default();
        self.check(&mut mistakes);
        mistakes.or_ok()
    }

    /// Adds every mistake.
    pub(super) fn check(&self, mistakes: &mut Mistakes) {
        self.check_listeners(mistakes);
        self.check_engage(mistakes);
        self.check_bounds(mistakes);
        self.check_burst(mistakes);
        self.check_cache(mistakes);
        self.check_auth(mistakes);
        self.check_secrets(mistakes);
        self.check_views(mistakes);
        self.check_webhooks(mistakes);
        self.check_redis(mistakes);
        self.check_log(mistakes);
        self.check_otlp(mistakes);
        self.check_unique(mistakes);
        if self.phone_region().is_none() {
            mistakes.add(
                "identifiers.phone_region",
                "is not a country",
                "give an ISO 3166-1 alpha-2 code such as \"SE\"",
            );
        }
    }

    /// The country of phone numbers without a country code. `None` for an unknown one.
    pub fn phone_region(&self) -> Option<phonenumber::country::Id> {
        self.identifiers.phone_region.parse().ok()
    }

    fn check_cache(&self, mistakes: &mut Mistakes) {
        let cache = &self.cache;
        if cache.stale_if_error < cache.stale_while_revalidate {
            mistakes.add(
                "cache.stale_if_error",
                "is shorter than cache.stale_while_revalidate",
                "both windows start when the lifetime ends: make it at least as long",
            );
        }
    }

    fn check_views(&self, mistakes: &mut Mistakes) {
        let key = "views.storefront.attributes";
        let storefront = &self.views.storefront.attributes;
        if storefront.iter().any(|name| name == NATIONAL_ID) {
            mistakes.add(
                key,
                "lists the national id",
                "this view never contains it: list it in views.full.attributes",
            );
        }
        if storefront.iter().any(|name| name == "*") {
            mistakes.add(
                key,
                "would show every attribute to shoppers",
                "list the attributes that shoppers may see",
            );
        }
    }
}
