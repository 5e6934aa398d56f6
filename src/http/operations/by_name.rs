//! A value for each part of a customer, or of its history, by the part's name.

use serde::{Serialize, Serializer};

use crate::domain::{HistoryPart, Part};

/// A JSON object with a member for each part; `null` if the part has no value.
pub(super) struct ByName<T>(Vec<(&'static str, Option<T>)>);

impl<T> ByName<T> {
    pub(super) fn of_parts(mut of: impl FnMut(Part) -> Option<T>) -> Self {
        let parts = Part::ALL.into_iter();
        Self(parts.map(|part| (part.as_str(), of(part))).collect())
    }

    pub(super) fn of_history(mut of: impl FnMut(HistoryPart) -> Option<T>) -> Self {
        let parts = HistoryPart::ALL.into_iter();
        Self(parts.map(|part| (part.as_str(), of(part))).collect())
    }
}

impl<T: Serialize> Serialize for ByName<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, of)| (name, of)))
    }
}
