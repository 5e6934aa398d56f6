//! The parts of one contact, each with an age of its own.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    fence::Sequence,
    freshness::{FetchSource, Provenance},
};
use crate::domain::{Audiences, Identity, Part, PartSet, Points, Profile, Promotions, Vouchers};

/// Data and where it came from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>"))]
pub struct Entry<T> {
    /// The data.
    #[serde(
        serialize_with = "serialize_shared",
        deserialize_with = "deserialize_shared"
    )]
    pub data: Arc<T>,
    /// Where and when it was requested.
    pub provenance: Provenance,
    /// Whether some of it was left out because it could not be read.
    pub incomplete: bool,
}

fn serialize_shared<T: Serialize, S: Serializer>(data: &Arc<T>, to: S) -> Result<S::Ok, S::Error> {
    data.serialize(to)
}

fn deserialize_shared<'de, T, D>(from: D) -> Result<Arc<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(from).map(Arc::new)
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self {
            data: Arc::clone(&self.data),
            provenance: self.provenance,
            incomplete: self.incomplete,
        }
    }
}

impl<T> Entry<T> {
    fn origin(&self) -> (&Provenance, bool) {
        (&self.provenance, self.incomplete)
    }
}

/// The parts of a contact that are present.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Parts {
    /// Profile.
    pub profile: Option<Entry<Profile>>,
    /// Audiences and warnings.
    pub audiences: Option<Entry<Audiences>>,
    /// Promotions.
    pub promotions: Option<Entry<Promotions>>,
    /// Vouchers.
    pub vouchers: Option<Entry<Vouchers>>,
    /// Points.
    pub points: Option<Entry<Points>>,
}

/// Where the parts of something came from.
pub trait Origins {
    /// Where the part came from, if there is one.
    fn provenance(&self, part: Part) -> Option<&Provenance>;

    /// The parts of which something could not be read.
    fn incomplete(&self) -> PartSet;

    /// Where the parts came from.
    fn provenances(&self) -> impl Iterator<Item = &Provenance> {
        Part::ALL
            .into_iter()
            .filter_map(|part| self.provenance(part))
    }

    /// The parts that are present.
    fn present(&self) -> PartSet {
        Part::ALL
            .into_iter()
            .filter(|part| self.provenance(*part).is_some())
            .collect()
    }

    /// Whether both have the very same data.
    fn same(&self, other: &impl Origins) -> bool {
        let source = |provenance: &Provenance| (provenance.sequence, provenance.source);
        Part::ALL
            .into_iter()
            .all(|part| self.provenance(part).map(source) == other.provenance(part).map(source))
    }
}

impl Origins for Parts {
    fn provenance(&self, part: Part) -> Option<&Provenance> {
        self.origin(part).map(|(provenance, _)| provenance)
    }

    fn incomplete(&self) -> PartSet {
        let is_incomplete =
            |part: &Part| self.origin(*part).is_some_and(|(_, incomplete)| incomplete);
        Part::ALL.into_iter().filter(is_incomplete).collect()
    }
}

impl Parts {
    /// Keeps only the parts for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(Part, &Provenance) -> bool) {
        for part in Part::ALL {
            let origin = self.origin(part);
            if origin.is_some_and(|(provenance, _)| !keep(part, provenance)) {
                self.replace(part, &Parts::default());
            }
        }
    }

    /// Takes over each part of `other` that supersedes the one here.
    pub fn merge(&mut self, other: &Parts, overview_lag: Duration) {
        for part in Part::ALL {
            let Some((new, _)) = other.origin(part) else {
                continue;
            };
            let cached = self.origin(part);
            if cached.is_none_or(|(cached, _)| new.supersedes(cached, overview_lag)) {
                self.replace(part, other);
            }
        }
    }

    /// The identity in the profile, and the sequence number of its request.
    pub(super) fn identity(&self) -> Option<(Sequence, &Identity)> {
        let profile = self.profile.as_ref()?;
        Some((profile.provenance.sequence, &profile.data.identity))
    }

    /// Parts whose data equals the cached data take over its [`Provenance::differed_at`]. Returns the parts of which an
    /// entity endpoint returned something new.
    pub(super) fn note_differences(&mut self, cached: &Parts) -> PartSet {
        let differs = |part: &Part| self.differs(*part, cached);
        Part::ALL.into_iter().filter(differs).collect()
    }

    /// Whether an entity endpoint returned something new. Data that equals the cached data takes over its
    /// `differed_at`.
    fn differs(&mut self, part: Part, cached: &Parts) -> bool {
        let is_same = self.has_same_data(part, cached);
        let Some(fetched) = self.provenance_mut(part) else {
            return false;
        };
        let by_entity = fetched.source == FetchSource::Entity;
        let Some((cached, _)) = cached.origin(part) else {
            return by_entity;
        };
        if is_same && cached.differed_at.is_some() {
            fetched.differed_at = cached.differed_at;
            return false;
        }
        // If they differ, the one that was requested earlier is not new.
        let is_outdated = cached.source == FetchSource::Entity && cached.is_later_than(fetched);
        by_entity && !is_outdated
    }

    /// Where the part came from, and whether some of it was left out.
    fn origin(&self, part: Part) -> Option<(&Provenance, bool)> {
        match part {
            Part::Profile => self.profile.as_ref().map(Entry::origin),
            Part::Audiences => self.audiences.as_ref().map(Entry::origin),
            Part::Promotions => self.promotions.as_ref().map(Entry::origin),
            Part::Vouchers => self.vouchers.as_ref().map(Entry::origin),
            Part::Points => self.points.as_ref().map(Entry::origin),
        }
    }

    fn provenance_mut(&mut self, part: Part) -> Option<&mut Provenance> {
        match part {
            Part::Profile => self.profile.as_mut().map(|entry| &mut entry.provenance),
            Part::Audiences => self.audiences.as_mut().map(|entry| &mut entry.provenance),
            Part::Promotions => self.promotions.as_mut().map(|entry| &mut entry.provenance),
            Part::Vouchers => self.vouchers.as_mut().map(|entry| &mut entry.provenance),
            Part::Points => self.points.as_mut().map(|entry| &mut entry.provenance),
        }
    }

    /// Replaces the part by that of `other`, or removes it if `other` has none.
    fn replace(&mut self, part: Part, other: &Parts) {
        match part {
            Part::Profile => self.profile.clone_from(&other.profile),
            Part::Audiences => self.audiences.clone_from(&other.audiences),
            Part::Promotions => self.promotions.clone_from(&other.promotions),
            Part::Vouchers => self.vouchers.clone_from(&other.vouchers),
            Part::Points => self.points.clone_from(&other.points),
        }
    }

    /// Whether both have the part, and its data is the same, wherever it came from.
    fn has_same_data(&self, part: Part, other: &Parts) -> bool {
        match part {
            Part::Profile => is_same(self.profile.as_ref(), other.profile.as_ref()),
            Part::Audiences => is_same(self.audiences.as_ref(), other.audiences.as_ref()),
            Part::Promotions => is_same(self.promotions.as_ref(), other.promotions.as_ref()),
            Part::Vouchers => is_same(self.vouchers.as_ref(), other.vouchers.as_ref()),
            Part::Points => is_same(self.points.as_ref(), other.points.as_ref()),
        }
    }
}

fn is_same<T: PartialEq>(one: Option<&Entry<T>>, other: Option<&Entry<T>>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return false;
    };
    one.data == other.data && one.incomplete == other.incomplete
}
