//! The contacts that share an identifier, as Engage lists them when it can't choose one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::contact_id::ContactId;

/// How many of the listed contacts are kept: each may cost a call.
pub const MAX_MATCHES: usize = 10;

/// The contacts that share an identifier, if they are listed and readable.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredMatches", into = "StoredMatches")]
pub struct Matches {
    ids: Arc<[ContactId]>,
    is_complete: bool,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct StoredMatches {
    ids: Vec<[u8; 16]>,
    is_complete: bool,
}

impl From<Matches> for StoredMatches {
    fn from(matches: Matches) -> Self {
        let ids = matches.ids.iter();
        Self {
            ids: ids.map(|id| *id.as_uuid().as_bytes()).collect(),
            is_complete: matches.is_complete,
        }
    }
}

impl From<StoredMatches> for Matches {
    fn from(stored: StoredMatches) -> Self {
        let ids = stored.ids.into_iter().map(Uuid::from_bytes);
        let mut matches = Self::of(ids.map(|id| Some(ContactId::from(id))));
        matches.is_complete &= stored.is_complete;
        matches
    }
}

impl Matches {
    /// The listed contacts, each once. `None` stands for one that cannot be read.
    pub fn of(listed: impl IntoIterator<Item = Option<ContactId>>) -> Self {
        let mut ids = Vec::new();
        let mut is_complete = true;
        for id in listed {
            match id {
                None => is_complete = false,
                Some(id) if ids.contains(&id) => {}
                Some(_) if ids.len() == MAX_MATCHES => {
                    is_complete = false;
                    break;
                }
                Some(id) => ids.push(id),
            }
        }
        Self {
            // One contact alone is not an ambiguity.
            is_complete: is_complete && ids.len() > 1,
            ids: ids.into(),
        }
    }

    /// The contacts, at most [`MAX_MATCHES`].
    pub fn ids(&self) -> &[ContactId] {
        &self.ids
    }

    /// Whether these are all contacts that share the identifier.
    pub fn are_complete(&self) -> bool {
        self.is_complete
    }

    /// Heap size in bytes.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.ids)
    }
}

impl Default for Matches {
    /// No contact is known.
    fn default() -> Self {
        Self::of([])
    }
}

impl std::fmt::Debug for Matches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matches({} ids)", self.ids.len())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: usize) -> ContactId {
        ContactId::from(Uuid::from_u128(number as u128))
    }

    fn of(numbers: impl IntoIterator<Item = usize>) -> Matches {
        Matches::of(numbers.into_iter().map(|number| Some(id(number))))
    }

    #[test]
    fn each_match_is_kept_once_in_order() {
        let matches = of([2, 1, 2, 2, 1]);
        assert_eq!(matches.ids(), [id(2), id(1)]);
        assert!(matches.are_complete());
        assert_eq!(matches.heap_bytes(), 2 * 16);
    }

    #[test]
    fn more_than_ten_matches_are_not_all() {
        assert!(of(0..10).are_complete());
        let many = of((0..10).chain(0..10).chain([10]));
        assert_eq!(many.ids().len(), MAX_MATCHES);
        assert!(!many.are_complete());
        assert_eq!(of(0..10_000).ids().len(), MAX_MATCHES);
    }

    #[test]
    fn unreadable_or_single_matches_are_not_all() {
        let unreadable = Matches::of([Some(id(1)), None, Some(id(2))]);
        assert_eq!(unreadable.ids(), [id(1), id(2)]);
        assert!(!unreadable.are_complete());
        assert!(!of([1, 1]).are_complete());
        assert!(!Matches::default().are_complete());
    }
}
