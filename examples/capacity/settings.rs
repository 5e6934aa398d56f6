//! The settings that are compared: the cache's lifetimes, what a page asks for, and among how many
//! replicas sessions are spread. The lifetimes are read as the service reads them.

use std::{collections::BTreeMap, path::Path, time::Duration};

use engage_bff::{
    config::{Config, Mistakes},
    domain::PartSet,
};

/// The profile for a service that Engage's webhooks reach.
pub(crate) const WITH_WEBHOOKS: &str = "config/with-webhooks.toml";

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
    /// The configuration; `engage.replicas` is among it.
    pub(crate) config: Config,
    /// Whether anything is held.
    pub(crate) holds: bool,
    /// Whether webhooks tell of changes.
    pub(crate) hears: bool,
    /// What a page view asks for beside profile and audiences.
    pub(crate) panels: PartSet,
    /// How sessions are spread among replicas.
    pub(crate) spread: Spread,
}

impl Setting {
    /// The built-in defaults: what a service must do with that no webhook reaches.
    pub(crate) fn without_webhooks() -> Result<Self, Mistakes> {
        Ok(Self {
            name: "without webhooks (the defaults)",
            config: load(None, &[])?,
            holds: true,
            hears: false,
            panels: PartSet::EMPTY,
            spread: Spread::Sticky,
        })
    }

    /// The profile of the file.
    pub(crate) fn with_webhooks() -> Result<Self, Mistakes> {
        Ok(Self {
            name: "with webhooks",
            config: load(Some(WITH_WEBHOOKS), &[])?,
            hears: true,
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

    /// The cache switched off.
    pub(crate) fn off() -> Result<Self, Mistakes> {
        Ok(Self {
            name: "no cache",
            holds: false,
            ..Self::without_webhooks()?
        })
    }

    /// The same, where every page view asks for everything.
    pub(crate) fn asking_all(self, name: &'static str) -> Self {
        Self {
            name,
            panels: PartSet::ALL,
            ..self
        }
    }

    /// The same with so many replicas.
    pub(crate) fn among(mut self, replicas: u32, spread: Spread) -> Self {
        self.config.engage.replicas = replicas;
        self.spread = spread;
        self
    }

    /// Everything that is compared, and whether it is also shown what callers see near the budget's end.
    pub(crate) fn all() -> Result<Vec<(Self, bool)>, Mistakes> {
        Ok(vec![
            (Self::off()?, true),
            (
                Self::without_webhooks()?.asking_all("without webhooks, every view asks for all"),
                false,
            ),
            (Self::without_webhooks()?, true),
            (
                Self::with_webhooks()?.asking_all("with webhooks, every view asks for all"),
                false,
            ),
            (Self::with_webhooks()?, true),
            (Self::long()?, false),
        ])
    }

    /// The two profiles among several replicas that share one key.
    pub(crate) fn replicated() -> Result<Vec<Self>, Mistakes> {
        let mut settings = Vec::new();
        for profile in [Self::without_webhooks()?, Self::with_webhooks()?] {
            settings.push(profile.clone().among(4, Spread::Sticky));
            settings.push(profile.clone().among(2, Spread::Requests));
            settings.push(profile.among(4, Spread::Requests));
        }
        Ok(settings)
    }

    /// How long something is held at most: for as long the past of a run is felt.
    pub(crate) fn memory(&self) -> Duration {
        let cache = &self.config.cache;
        // Audiences come with every overview, and so never live longer than what is asked for more often.
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

/// The lifetimes of a file, with some of them replaced as the environment would.
fn load(file: Option<&str>, lifetimes: &[(&str, &str)]) -> Result<Config, Mistakes> {
    let mut environment: BTreeMap<String, String> = [
        ("BFF_ENGAGE__BASE_URL", "https://shop.example.com"),
        ("BFF_ENGAGE__API_KEY", "never-used"),
        ("BFF_AUTH__ALLOW_ANONYMOUS", "true"),
        // Ample: nothing is evicted, which is left to chance.
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
