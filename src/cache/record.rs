//! One record per contact: an immutable snapshot of its parts and of the answers already rendered
//! from them. Replacing a part makes a new snapshot, which starts without rendered answers.
//!
//! A record that was packed and is asked for is not unpacked whole: what every look needs and the rendered answers are
//! enough for a hit, and the parts stay packed until somebody needs them.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{
    Weigh,
    freshness::Provenance,
    packed::Packed,
    parts::{Origins, Parts},
};
use crate::domain::{ContactId, Identity, Part, PartSet};

/// What is known of one contact.
#[derive(Debug)]
pub struct Record<R> {
    /// Whose record it is.
    pub id: ContactId,
    /// The parts of which something could not be read, so that a hit need not look at each.
    incomplete: PartSet,
    body: Body,
    rendered: Answers<R>,
}

/// In which form its parts are.
#[derive(Debug)]
enum Body {
    Whole(Parts),
    Packed { brief: Brief, packed: Packed },
}

/// What every look at a record needs to know of its parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Brief {
    /// By [`Part`].
    provenances: [Option<Provenance>; 5],
    /// The parts of which something could not be read.
    incomplete: PartSet,
    /// `None` where no profile is held.
    pub(super) identity: Option<Identity>,
}

/// A shop's answer and a till's are found without going elsewhere in memory.
pub(super) type Answers<R> = SmallVec<[Arc<R>; 2]>;

/// How many rendered answers a record keeps: the views and channels in use are few.
const MAX_RENDERED: usize = 8;

impl<R> Record<R> {
    /// A record of these parts, nothing rendered yet.
    pub fn new(id: ContactId, parts: Parts) -> Self {
        Self {
            id,
            incomplete: parts.incomplete(),
            body: Body::Whole(parts),
            rendered: Answers::new(),
        }
    }

    /// A record of what is packed, of which so much is unpacked.
    pub(super) fn unpacked(
        id: ContactId,
        brief: Brief,
        rendered: Answers<R>,
        packed: Packed,
    ) -> Self {
        Self {
            id,
            incomplete: brief.incomplete,
            body: Body::Packed { brief, packed },
            rendered,
        }
    }

    /// Its parts; `None` where they were packed and are damaged.
    pub fn parts(&self) -> Option<Cow<'_, Parts>> {
        match &self.body {
            Body::Whole(parts) => Some(Cow::Borrowed(parts)),
            Body::Packed { packed, .. } => packed.parts(self.id).map(Cow::Owned),
        }
    }

    /// What the profile says of which contact it is; `None` where no profile is held.
    pub fn identity(&self) -> Option<&Identity> {
        match &self.body {
            Body::Whole(parts) => parts.profile.as_ref().map(|entry| &entry.data.identity),
            Body::Packed { brief, .. } => brief.identity.as_ref(),
        }
    }

    /// The answers rendered from these parts.
    pub fn rendered(&self) -> impl DoubleEndedIterator<Item = &Arc<R>> + ExactSizeIterator {
        self.rendered.iter()
    }

    /// What it was unpacked from, where its parts still are.
    pub(super) fn packed(&self) -> Option<&Packed> {
        match &self.body {
            Body::Packed { packed, .. } => Some(packed),
            Body::Whole(_) => None,
        }
    }

    /// The same with its parts, as they were unpacked.
    #[must_use]
    pub(super) fn with_parts(&self, parts: &Parts) -> Self {
        Self {
            id: self.id,
            incomplete: parts.incomplete(),
            body: Body::Whole(parts.clone()),
            rendered: self.rendered.clone(),
        }
    }

    /// The same parts with one more answer that was rendered from them; the oldest gives way.
    #[must_use]
    pub(super) fn with_rendered(
        &self,
        parts: &Parts,
        answer: Arc<R>,
        replaces: impl Fn(&R) -> bool,
    ) -> Self {
        let mut rendered: Answers<R> = self
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
            incomplete: parts.incomplete(),
            body: Body::Whole(parts.clone()),
            rendered,
        }
    }
}

impl<R> Origins for Record<R> {
    fn provenance(&self, part: Part) -> Option<&Provenance> {
        match &self.body {
            Body::Whole(parts) => parts.provenance(part),
            Body::Packed { brief, .. } => brief.provenances[part as usize].as_ref(),
        }
    }

    fn incomplete(&self) -> PartSet {
        self.incomplete
    }
}

impl<R: Weigh> Weigh for Record<R> {
    fn bytes(&self) -> usize {
        let body = match &self.body {
            Body::Whole(parts) => parts.bytes(),
            Body::Packed { brief, packed, .. } => {
                brief.identity.as_ref().map_or(0, Weigh::bytes) + packed.bytes()
            }
        };
        let rendered: usize = self.rendered.iter().map(|answer| answer.bytes()).sum();
        size_of::<Self>() + body + rendered
    }
}

impl Brief {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            provenances: Part::ALL.map(|part| parts.provenance(part).copied()),
            incomplete: parts.incomplete(),
            identity: parts
                .profile
                .as_ref()
                .map(|entry| entry.data.identity.clone()),
        }
    }
}
