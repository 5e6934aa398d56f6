//! What a configuration must keep to, checked at the start and never at the first request: every
//! mistake is reported at once, with its key and its remedy.

mod auth;
mod bounds;
mod engage;
mod jwt;
mod listeners;
mod log;
mod mistakes;
mod secrets;
mod warnings;
mod webhooks;

use bytesize::ByteSize;
use secrecy::SecretString;
use serde::Serializer;

pub use self::mistakes::{Mistake, Mistakes};
use super::Config;

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

/// Writes a size as it is given, and to the byte.
pub fn exact<S: Serializer>(size: &ByteSize, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = size.as_u64();
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let fits = |(_, unit): &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(*unit);
    match units.iter().find(fits) {
        Some((name, unit)) => serializer.collect_str(&format_args!("{}{name}", bytes / unit)),
        None => serializer.collect_str(&format_args!("{bytes}B")),
    }
}

/// Writes how many secrets there are, never one of them.
pub fn masked_list<S: Serializer>(
    secrets: &[SecretString],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(secrets.iter().map(|_| "********"))
}

/// What the storefront view never holds.
const NATIONAL_ID: &str = "socialSecurityNumber";

impl Config {
    /// Checks what the types can't say.
    pub fn validate(&self) -> Result<(), Mistakes> {
        let mut mistakes = Mistakes::default();
        self.check(&mut mistakes);
        mistakes.or_ok()
    }

    /// Adds all that is wrong.
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
        self.check_log(mistakes);
        if self.phone_region().is_none() {
            mistakes.add(
                "identifiers.phone_region",
                "is not a country",
                "give an ISO 3166-1 alpha-2 code such as \"SE\"",
            );
        }
    }

    /// The country whose national phone numbers are understood.
    pub fn phone_region(&self) -> Option<phonenumber::country::Id> {
        self.identifiers.phone_region.parse().ok()
    }

    fn check_cache(&self, mistakes: &mut Mistakes) {
        let cache = &self.cache;
        if cache.stale_if_error < cache.stale_while_revalidate {
            mistakes.add(
                "cache.stale_if_error",
                "is shorter than cache.stale_while_revalidate",
                "both windows begin where the lifetime ends: make it at least as long",
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
