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

/// The parts of a contact, as far as there are any.
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

    /// The parts that there are.
    fn held(&self) -> PartSet {
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
        match part {
            Part::Profile => self.profile.as_ref().map(|entry| &entry.provenance),
            Part::Audiences => self.audiences.as_ref().map(|entry| &entry.provenance),
            Part::Promotions => self.promotions.as_ref().map(|entry| &entry.provenance),
            Part::Vouchers => self.vouchers.as_ref().map(|entry| &entry.provenance),
            Part::Points => self.points.as_ref().map(|entry| &entry.provenance),
        }
    }

    fn incomplete(&self) -> PartSet {
        let mut parts = PartSet::EMPTY;
        let mut add = |part, incomplete: Option<bool>| {
            if incomplete == Some(true) {
                parts.insert(part);
            }
        };
        add(
            Part::Profile,
            self.profile.as_ref().map(|entry| entry.incomplete),
        );
        add(
            Part::Audiences,
            self.audiences.as_ref().map(|entry| entry.incomplete),
        );
        add(
            Part::Promotions,
            self.promotions.as_ref().map(|entry| entry.incomplete),
        );
        add(
            Part::Vouchers,
            self.vouchers.as_ref().map(|entry| entry.incomplete),
        );
        add(
            Part::Points,
            self.points.as_ref().map(|entry| entry.incomplete),
        );
        parts
    }
}

impl Parts {
    /// Keeps only the parts for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(Part, &Provenance) -> bool) {
        retain(&mut self.profile, Part::Profile, &mut keep);
        retain(&mut self.audiences, Part::Audiences, &mut keep);
        retain(&mut self.promotions, Part::Promotions, &mut keep);
        retain(&mut self.vouchers, Part::Vouchers, &mut keep);
        retain(&mut self.points, Part::Points, &mut keep);
    }

    /// Takes over each part of `other` that supersedes the one here.
    pub fn merge(&mut self, other: &Parts, overview_lag: Duration) {
        newer(&mut self.profile, other.profile.as_ref(), overview_lag);
        newer(&mut self.audiences, other.audiences.as_ref(), overview_lag);
        newer(
            &mut self.promotions,
            other.promotions.as_ref(),
            overview_lag,
        );
        newer(&mut self.vouchers, other.vouchers.as_ref(), overview_lag);
        newer(&mut self.points, other.points.as_ref(), overview_lag);
    }

    /// The identity in the profile, and the sequence number of its request.
    pub(super) fn identity(&self) -> Option<(Sequence, &Identity)> {
        let profile = self.profile.as_ref()?;
        Some((profile.provenance.sequence, &profile.data.identity))
    }

    /// Carries over since when an entity endpoint has returned data that is the same as the cached data. Returns the
    /// parts of which it returned something new.
    pub(super) fn note_differences(&mut self, cached: &Parts) -> PartSet {
        let differ = [
            (
                Part::Profile,
                differs(&mut self.profile, cached.profile.as_ref()),
            ),
            (
                Part::Audiences,
                differs(&mut self.audiences, cached.audiences.as_ref()),
            ),
            (
                Part::Promotions,
                differs(&mut self.promotions, cached.promotions.as_ref()),
            ),
            (
                Part::Vouchers,
                differs(&mut self.vouchers, cached.vouchers.as_ref()),
            ),
            (
                Part::Points,
                differs(&mut self.points, cached.points.as_ref()),
            ),
        ];
        let differ = differ.into_iter().filter(|(_, differs)| *differs);
        differ.map(|(part, _)| part).collect()
    }
}

fn retain<T>(
    slot: &mut Option<Entry<T>>,
    part: Part,
    keep: &mut impl FnMut(Part, &Provenance) -> bool,
) {
    if slot
        .as_ref()
        .is_some_and(|entry| !keep(part, &entry.provenance))
    {
        *slot = None;
    }
}

fn newer<T>(slot: &mut Option<Entry<T>>, other: Option<&Entry<T>>, overview_lag: Duration) {
    let Some(other) = other else { return };
    let cached = slot.as_ref().map(|entry| &entry.provenance);
    if cached.is_none_or(|cached| other.provenance.supersedes(cached, overview_lag)) {
        *slot = Some(other.clone());
    }
}

/// Whether an entity endpoint returned something else than before. Data that is the same as the cached data takes over
/// since when it has been so.
fn differs<T: PartialEq>(fetched: &mut Option<Entry<T>>, cached: Option<&Entry<T>>) -> bool {
    let Some(fetched) = fetched.as_mut() else {
        return false;
    };
    let by_entity = fetched.provenance.source == FetchSource::Entity;
    let Some(cached) = cached else {
        return by_entity;
    };
    let is_same = fetched.data == cached.data && fetched.incomplete == cached.incomplete;
    if is_same && cached.provenance.differed_at.is_some() {
        fetched.provenance.differed_at = cached.provenance.differed_at;
        return false;
    }
    // Of two that differ, the one that was requested earlier is nothing new.
    let is_outdated = cached.provenance.source == FetchSource::Entity
        && cached.provenance.is_later_than(&fetched.provenance);
    by_entity && !is_outdated
}
