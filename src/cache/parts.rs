//! One record per contact: an immutable snapshot of its parts and of the answers already rendered
//! from them. Replacing a part makes a new snapshot, which starts without rendered answers.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{fence::Stamp, freshness::Provenance};
use crate::domain::{Audiences, ContactId, Part, PartSet, Points, Profile, Promotions, Vouchers};

/// What is known of one contact.
#[derive(Debug)]
pub struct Record<R> {
    /// Whose record it is.
    pub id: ContactId,
    /// Its parts.
    pub parts: Parts,
    rendered: Vec<Arc<R>>,
}

/// How many rendered answers a record keeps: the views and channels in use are few.
const MAX_RENDERED: usize = 8;

impl<R> Record<R> {
    /// A record of these parts, nothing rendered yet.
    pub fn new(id: ContactId, parts: Parts) -> Self {
        Self {
            id,
            parts,
            rendered: Vec::new(),
        }
    }

    /// The answers rendered from these parts.
    pub fn rendered(&self) -> impl Iterator<Item = &Arc<R>> {
        self.rendered.iter()
    }

    /// The same parts with one more rendered answer; the oldest gives way.
    #[must_use]
    pub fn with_rendered(&self, answer: Arc<R>, replaces: impl Fn(&R) -> bool) -> Self {
        let mut rendered: Vec<_> = self
            .rendered
            .iter()
            .filter(|kept| !replaces(kept))
            .cloned()
            .collect();
        if rendered.len() == MAX_RENDERED {
            rendered.remove(0);
        }
        rendered.push(answer);
        Self {
            id: self.id,
            parts: self.parts.clone(),
            rendered,
        }
    }
}

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
    /// Where and when it was asked for.
    pub provenance: Provenance,
    /// The bytes that the data occupies, estimated once.
    pub bytes: u32,
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
            bytes: self.bytes,
        }
    }
}

/// The parts that are held, each of its own age.
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

impl Parts {
    /// Where the part came from, if it is held.
    pub fn provenance(&self, part: Part) -> Option<&Provenance> {
        match part {
            Part::Profile => self.profile.as_ref().map(|entry| &entry.provenance),
            Part::Audiences => self.audiences.as_ref().map(|entry| &entry.provenance),
            Part::Promotions => self.promotions.as_ref().map(|entry| &entry.provenance),
            Part::Vouchers => self.vouchers.as_ref().map(|entry| &entry.provenance),
            Part::Points => self.points.as_ref().map(|entry| &entry.provenance),
        }
    }

    /// Where the parts that are held came from.
    pub fn provenances(&self) -> impl Iterator<Item = &Provenance> {
        Part::ALL
            .into_iter()
            .filter_map(|part| self.provenance(part))
    }

    /// The parts that are held.
    pub fn held(&self) -> PartSet {
        Part::ALL
            .into_iter()
            .filter(|part| self.provenance(*part).is_some())
            .collect()
    }

    /// Keeps only the parts for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(Part, &Provenance) -> bool) {
        retain(&mut self.profile, Part::Profile, &mut keep);
        retain(&mut self.audiences, Part::Audiences, &mut keep);
        retain(&mut self.promotions, Part::Promotions, &mut keep);
        retain(&mut self.vouchers, Part::Vouchers, &mut keep);
        retain(&mut self.points, Part::Points, &mut keep);
    }

    /// Takes over each part of `other` that supersedes the one held.
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

    /// Whether both hold the very same data.
    pub fn same(&self, other: &Parts) -> bool {
        let source = |provenance: &Provenance| (provenance.stamp, provenance.source);
        Part::ALL
            .into_iter()
            .all(|part| self.provenance(part).map(source) == other.provenance(part).map(source))
    }

    /// The estimated bytes of everything held.
    pub fn bytes(&self) -> usize {
        let of = |bytes: Option<u32>| bytes.map_or(0, |bytes| bytes as usize);
        of(self.profile.as_ref().map(|entry| entry.bytes))
            + of(self.audiences.as_ref().map(|entry| entry.bytes))
            + of(self.promotions.as_ref().map(|entry| entry.bytes))
            + of(self.vouchers.as_ref().map(|entry| entry.bytes))
            + of(self.points.as_ref().map(|entry| entry.bytes))
    }

    /// The stamp of the part, zero where it is not held.
    pub fn stamp(&self, part: Part) -> Stamp {
        self.provenance(part)
            .map_or(Stamp::default(), |provenance| provenance.stamp)
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
    let held = slot.as_ref().map(|entry| &entry.provenance);
    if held.is_none_or(|held| other.provenance.supersedes(held, overview_lag)) {
        *slot = Some(other.clone());
    }
}
