//! What a call returned, as parts of a contact that can be stored.

use std::{sync::Arc, time::Duration};

use super::{
    Answer, Cache, FetchStart,
    freshness::{FetchSource, Policy, Provenance},
    parts::{Entry, Parts},
};
use crate::domain::{Overview, Part, Partial, Points, Profile, Promotions, Vouchers};

/// Data from an entity endpoint.
#[derive(Debug)]
pub enum PartData {
    /// From `/contacts/{id}`.
    Profile(Box<Partial<Profile>>),
    /// The contact's promotions.
    Promotions(Partial<Promotions>),
    /// The contact's vouchers.
    Vouchers(Partial<Vouchers>),
    /// The contact's point accounts.
    Points(Partial<Points>),
}

fn entry<T>(read: Partial<T>, provenance: Provenance) -> Entry<T> {
    Entry {
        data: Arc::new(read.data),
        provenance,
        incomplete: !read.left_out.is_empty(),
    }
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// The parts of an overview, to be stored.
    pub fn parts_of_overview(&self, start: FetchStart, overview: Overview) -> Parts {
        let provenance =
            |part| provenance(start, self.policy.lifetime(part), FetchSource::Overview);
        Parts {
            profile: Some(entry(overview.profile, provenance(Part::Profile))),
            audiences: overview
                .audiences
                .map(|data| entry(data, provenance(Part::Audiences))),
            promotions: overview
                .promotions
                .map(|data| entry(data, provenance(Part::Promotions))),
            vouchers: overview
                .vouchers
                .map(|data| entry(data, provenance(Part::Vouchers))),
            points: overview
                .points
                .map(|data| entry(data, provenance(Part::Points))),
        }
    }

    /// A part from its entity endpoint, to be stored.
    pub fn part_of_entity(&self, start: FetchStart, data: PartData) -> Parts {
        let provenance = |part| provenance(start, self.policy.lifetime(part), FetchSource::Entity);
        let mut parts = Parts::default();
        match data {
            PartData::Profile(data) => {
                parts.profile = Some(entry(*data, provenance(Part::Profile)));
            }
            PartData::Promotions(data) => {
                parts.promotions = Some(entry(data, provenance(Part::Promotions)));
            }
            PartData::Vouchers(data) => {
                parts.vouchers = Some(entry(data, provenance(Part::Vouchers)));
            }
            PartData::Points(data) => parts.points = Some(entry(data, provenance(Part::Points))),
        }
        parts
    }
}

/// The provenance of data that was requested at `start`.
pub(super) fn provenance(start: FetchStart, lifetime: Duration, source: FetchSource) -> Provenance {
    Provenance {
        sequence: start.sequence,
        requested_at: start.now.tick,
        as_of: start.now.wall,
        lifetime: Policy::jittered(lifetime),
        source,
        differed_at: (source == FetchSource::Entity).then_some(start.now.tick),
        is_shared: false,
    }
}
