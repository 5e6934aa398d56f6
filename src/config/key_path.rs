//! The path of a value in the configuration: `auth.clients[0].scopes[1]`.

use std::fmt;

use serde_path_to_error::Segment;
use toml::{Table, Value};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// A key of a table.
    Key(String),
    /// An item of a list.
    Item(usize),
}

/// The steps from the root to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct KeyPath(Vec<Step>);

impl KeyPath {
    /// A path that consists of keys only.
    pub(super) fn of_keys<'a>(keys: impl Iterator<Item = &'a str>) -> Self {
        Self(keys.map(|key| Step::Key(key.to_owned())).collect())
    }

    /// The path one step further.
    pub(super) fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    pub(super) fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// The parent and the last step; `None` for the root.
    pub(super) fn split(&self) -> Option<(KeyPath, &Step)> {
        let (last, steps) = self.0.split_last()?;
        Some((Self(steps.to_vec()), last))
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get<'a>(&self, table: &'a Table) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        let Step::Key(first) = first else { return None };
        rest.iter()
            .try_fold(table.get(first)?, |value, step| match step {
                Step::Key(key) => value.get(key.as_str()),
                Step::Item(item) => value.get(*item),
            })
    }

    fn get_mut<'a>(&self, table: &'a mut Table) -> Option<&'a mut Value> {
        let (first, rest) = self.0.split_first()?;
        let Step::Key(first) = first else { return None };
        rest.iter()
            .try_fold(table.get_mut(first)?, |value, step| match step {
                Step::Key(key) => value.get_mut(key.as_str()),
                Step::Item(item) => value.get_mut(*item),
            })
    }

    /// Sets the value, creating missing tables on the way. `false` if something other than a table is in the way.
    pub(super) fn set(&self, table: &mut Table, value: Value) -> bool {
        if let Some(old) = self.get_mut(table) {
            *old = value;
            return true;
        }
        let Some((parent, Step::Key(last))) = self.split() else {
            return false;
        };
        if !parent.is_root() && parent.get(table).is_none() {
            let is_created = parent.set(table, Value::Table(Table::new()));
            if !is_created {
                return false;
            }
        }
        match parent.table_mut(table) {
            Some(parent) => parent.insert(last.clone(), value).is_none(),
            None => false,
        }
    }

    /// Removes the value.
    pub(super) fn remove(&self, table: &mut Table) {
        match self.split() {
            Some((parent, Step::Key(key))) => {
                if let Some(parent) = parent.table_mut(table) {
                    parent.remove(key);
                }
            }
            Some((parent, Step::Item(item))) => {
                if let Some(Value::Array(list)) = parent.get_mut(table)
                    && *item < list.len()
                {
                    list.remove(*item);
                }
            }
            None => {}
        }
    }

    fn table_mut<'a>(&self, table: &'a mut Table) -> Option<&'a mut Table> {
        if self.is_root() {
            return Some(table);
        }
        self.get_mut(table)?.as_table_mut()
    }
}

impl From<&serde_path_to_error::Path> for KeyPath {
    fn from(path: &serde_path_to_error::Path) -> Self {
        let step = |segment: &Segment| match segment {
            Segment::Seq { index } => Some(Step::Item(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        Self(path.iter().filter_map(step).collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(item) => write!(f, "[{item}]")?,
                Step::Key(key) if index == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}
