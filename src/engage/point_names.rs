//! The names of points, from Engage's point definitions.
//!
//! An account gets its name when it is read. A part that was read before the names were known has no names until its
//! next refresh.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use super::wire::PointDefinition;
use crate::{
    clock::Tick,
    domain::{Partial, Points},
};

/// The names of points that are known so far.
#[derive(Debug, Default)]
pub(super) struct PointNames {
    list: RwLock<List>,
    /// The configured definition whose balance the response shows as the contact's balance, if one is configured.
    default_definition: Option<Box<str>>,
}

#[derive(Debug, Default)]
struct List {
    /// By the id of the definition.
    names: HashMap<Box<str>, Box<str>>,
    read_at: Option<Tick>,
}

impl PointNames {
    /// No names yet.
    pub(super) fn new(default_definition: Option<&str>) -> Self {
        Self {
            list: RwLock::default(),
            default_definition: default_definition.map(Into::into),
        }
    }

    /// Gives each account its name, if the name is known.
    pub(super) fn name(&self, points: &mut Points) {
        let list = self.list();
        for account in &mut points.accounts {
            let id = account.definition_id.as_deref();
            account.name = id.and_then(|id| list.names.get(id)).cloned();
        }
    }

    /// How long ago a list was read; `None` before the first.
    pub(super) fn age(&self, now: Tick) -> Option<Duration> {
        self.list().read_at.map(|read_at| now.since(read_at))
    }

    /// Replaces the names by those of a list. If an id is repeated, its first name counts.
    pub(super) fn replace(&self, definitions: Partial<Vec<PointDefinition>>, now: Tick) {
        let count = definitions.data.len();
        let left_out = definitions.left_out.len();
        let is_default =
            |definition: &PointDefinition| Some(&definition.id) == self.default_definition.as_ref();
        let lacks_default = self.default_definition.is_some()
            && left_out == 0
            && !definitions.data.iter().any(is_default);
        let mut names = HashMap::new();
        for PointDefinition { id, name } in definitions.data {
            if let Some(name) = name {
                names.entry(id).or_insert(name);
            }
        }
        let list = List {
            names,
            read_at: Some(now),
        };
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = list;
        // Logged once for each list.
        if left_out > 0 {
            tracing::warn!(count, left_out, "point definitions incomplete");
        } else {
            tracing::debug!(count, "point definitions read");
        }
        if lacks_default {
            tracing::warn!(alarm = true, "default point definition unknown");
        }
    }

    fn list(&self) -> RwLockReadGuard<'_, List> {
        self.list.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
