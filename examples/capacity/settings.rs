//! The settings that are compared: the cache's lifetimes, the parts that a page requests, and the replicas among which
//! sessions are spread. Lifetimes are read from configurations, as the service reads them.

use std::{collections::BTreeMap, path::Path, time::Duration};

use engage_bff::{
    config::{Config, Mistakes},
    domain::{IdentifierKind, PartSet},
};

use crate::mix::Mix;

/// The settings for a service that receives Engage's webhooks.
pub(crate) const WITH_WEBHOOKS: &str = "config/with-webhooks.toml";

/// The numbers of replicas that are compared with one.
const REPLICAS: [u32; 2] = [3, 10];

/// How sessions are spread among replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Each session stays with one replica.
    Sticky,
    /// Each request goes to the next replica.
    Requests,
}

/// One setting.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// Its name in the tables.
    pub(crate) name: &'static str,
    /// The configuration, `engage.replicas` included.
    pub(crate) config: Config,
    /// Whether the cache is on.
    pub(crate) caches: bool,
    /// Whether webhooks report changes.
    pub(crate) has_webhooks: bool,
    /// The parts that a page view requests in addition to profile and audiences.
    pub(crate) panels: PartSet,
    /// How sessions are spread among replicas.
    pub(crate) spread: Spread,
    /// Whether the replicas share a tier.
    pub(crate) has_tier: bool,
    /// The identifiers of requests.
    pub(crate) mix: Mix,
}

impl Setting {
    /// The built-in defaults, for a service without webhooks.
    pub(crate) fn without_webhooks() -> Result<Self, Mistakes> {
        Ok(Self {
            name: "without webhooks (the defaults)",
            config: load(None, &[])?,
            caches: true,
            has_webhooks: false,
            panels: PartSet::EMPTY,
            spread: Spread::Sticky,
            has_tier: false,
            mix: Mix::ShopAndTill,
        })
    }

    /// The settings of [`WITH_WEBHOOKS`].
    pub(crate) fn with_webhooks() -> Result<Self, Mistakes> {
        Ok(Self {
            name: "with webhooks",
            config: load(Some(WITH_WEBHOOKS), &[])?,
            has_webhooks: true,
            ..Self::without_webhooks()?
        })
    }

    /// Lifetimes of hours.
    pub(crate) fn long() -> Result<Self, Mistakes> {
        let lifetimes = [
            ("PROFILE", "4h"),
            ("AUDIENCES", "12h"),
            ("PROMOTIONS", "4h"),
            ("VOUCHERS", "4h"),
            ("POINTS", "1h"),
        ];
        Ok(Self {
            name: "with webhooks, hours",
            config: load(Some(WITH_WEBHOOKS), &lifetimes)?,
            ..Self::with_webhooks()?
        })
    }

    /// Lifetimes of an hour.
    pub(crate) fn an_hour() -> Result<Self, Mistakes> {
        let parts = ["PROFILE", "PROMOTIONS", "VOUCHERS", "POINTS"];
        Ok(Self {
            name: "with webhooks, an hour",
            config: load(Some(WITH_WEBHOOKS), &parts.map(|part| (part, "1h")))?,
            ..Self::with_webhooks()?
        })
    }

    /// The cache is off.
    pub(crate) fn off() -> Result<Self, Mistakes> {
        Ok(Self {
            name: "no cache",
            caches: false,
            ..Self::without_webhooks()?
        })
    }

    /// The same, with every page view requesting all parts.
    pub(crate) fn requesting_all(self, name: &'static str) -> Self {
        Self {
            name,
            panels: PartSet::ALL,
            ..self
        }
    }

    /// The same with that many replicas.
    pub(crate) fn among(mut self, replicas: u32, spread: Spread) -> Self {
        self.config.engage.replicas = replicas;
        self.spread = spread;
        self
    }

    /// The same with requests by other identifiers.
    pub(crate) fn by(self, mix: Mix) -> Self {
        Self { mix, ..self }
    }

    /// The same with identifiers that are unique: a cached contact is found by each of them.
    pub(crate) fn unique(mut self) -> Self {
        self.config.identifiers.unique = vec![
            IdentifierKind::Email,
            IdentifierKind::CustomKey,
            IdentifierKind::MobilePhone,
        ];
        self
    }

    /// The same with a tier that the replicas share.
    pub(crate) fn sharing(self) -> Self {
        Self {
            has_tier: true,
            ..self
        }
    }

    /// The settings of one replica, each with whether it is also verified near and beyond the budget.
    pub(crate) fn all() -> Result<Vec<(Self, bool)>, Mistakes> {
        Ok(vec![
            (Self::off()?, true),
            (
                Self::without_webhooks()?
                    .requesting_all("without webhooks, all parts in every view"),
                false,
            ),
            (Self::without_webhooks()?, true),
            (
                Self::with_webhooks()?.requesting_all("with webhooks, all parts in every view"),
                false,
            ),
            (Self::with_webhooks()?, true),
            (Self::long()?, false),
        ])
    }

    /// The settings of several replicas that share one key, and of one with the tier that several would share.
    pub(crate) fn replicated() -> Result<Vec<Self>, Mistakes> {
        let mut settings = Vec::new();
        for profile in [Self::without_webhooks()?, Self::with_webhooks()?] {
            settings.push(profile.clone().sharing());
            for replicas in REPLICAS {
                for spread in [Spread::Sticky, Spread::Requests] {
                    let several = profile.clone().among(replicas, spread);
                    settings.extend([several.clone(), several.sharing()]);
                }
            }
        }
        Ok(settings)
    }

    /// The settings that compare sessions with one identifier and with several.
    pub(crate) fn identified() -> Result<Vec<Self>, Mistakes> {
        let hour = Self::an_hour()?;
        let mut settings = vec![hour.clone().by(Mix::One)];
        for typed_ids in [true, false] {
            settings.push(hour.clone().by(Mix::Several { typed_ids }));
        }
        for typed_ids in [true, false] {
            settings.push(hour.clone().by(Mix::Several { typed_ids }).unique());
        }
        Ok(settings)
    }

    /// How long cached data can answer as a hit at most, and so how far back a run's past matters for its hits.
    pub(crate) fn memory(&self) -> Duration {
        let cache = &self.config.cache;
        // Audiences arrive with every overview, so they never outlive the parts that are refreshed more often.
        let lifetimes = [
            cache.profile_lifetime,
            cache.promotions_lifetime,
            cache.vouchers_lifetime,
            cache.points_lifetime,
        ];
        let longest = lifetimes.into_iter().max().unwrap_or_default();
        longest + cache.stale_while_revalidate
    }
}

/// The configuration of a file, with some lifetimes overridden by the environment.
fn load(file: Option<&str>, lifetimes: &[(&str, &str)]) -> Result<Config, Mistakes> {
    let mut environment: BTreeMap<String, String> = [
        ("BFF_ENGAGE__BASE_URL", "https://shop.example.com"),
        ("BFF_ENGAGE__API_KEY", "never-used"),
        ("BFF_AUTH__ALLOW_ANONYMOUS", "true"),
        // Ample, so that nothing is evicted, which would be random.
        ("BFF_CACHE__MAX_SIZE", "2GiB"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    for (part, lifetime) in lifetimes {
        environment.insert(
            format!("BFF_CACHE__{part}_LIFETIME"),
            (*lifetime).to_owned(),
        );
    }
    let file = file.map(|file| Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
    Config::load(file.as_deref(), &environment)
}
