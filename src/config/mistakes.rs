//! Mistakes in a configuration, as operators read them.

use std::{collections::BTreeSet, fmt};

/// A mistake or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    key: String,
    what: String,
    remedy: String,
}

impl Mistake {
    /// A mistake about `key`: what is wrong, and the remedy.
    pub fn new(key: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// The key, such as `engage.burst`, or the path of a configuration file that can't be read.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong, without the value, which may be a secret.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// How to fix it.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mistake { key, what, remedy } = self;
        write!(f, "{key}: {what}; {remedy}")
    }
}

/// All mistakes of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Adds a mistake.
    pub fn add(
        &mut self,
        key: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push(Mistake::new(key, what, remedy));
    }

    /// Adds a mistake, unless an earlier one is about the same key: then the value is only a substitute.
    pub(super) fn add_unless_covered(
        &mut self,
        key: String,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if !covers(&self.0, &key) {
            self.add(key, what, remedy);
        }
    }

    /// Adds the mistakes of a later check, unless earlier ones are about the same keys. If `known` is given, mistakes
    /// about other keys are dropped.
    pub(super) fn add_all(&mut self, later: Mistakes, known: Option<&BTreeSet<String>>) {
        let is_known = |mistake: &Mistake| {
            known.is_none_or(|known| known.iter().any(|key| is_about(key, &mistake.key)))
        };
        let earlier = self.0.len();
        for mistake in later.0.into_iter().filter(is_known) {
            if !covers(&self.0[..earlier], &mistake.key) {
                self.0.push(mistake);
            }
        }
    }

    /// Drops the mistakes that are not about one of these keys.
    pub(super) fn keep_about(&mut self, keys: &[&str]) {
        self.0
            .retain(|mistake| keys.iter().any(|key| is_about(key, &mistake.key)));
    }

    /// The mistakes as an error, if there are any.
    pub fn or_ok(self) -> Result<(), Mistakes> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

fn covers(mistakes: &[Mistake], key: &str) -> bool {
    mistakes.iter().any(|mistake| is_about(&mistake.key, key))
}

/// Whether `key` is `other`, contains it, is an item of it, or is the `_file` key that it is read from.
fn is_about(key: &str, other: &str) -> bool {
    let is_within = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let is_item = |rest: &str| rest.starts_with('[');
    is_within(other, key)
        || key.strip_prefix(other).is_some_and(is_item)
        || key
            .strip_suffix("_file")
            .is_some_and(|secret| is_within(other, secret))
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let end = if index + 1 == self.0.len() { "" } else { "\n" };
            write!(f, "{mistake}{end}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
