//! What operators see of the shared tier.

use std::time::Duration;

use futures_util::future::join_all;

use super::CustomerService;
use crate::{
    domain::{ContactId, Lookup, PartMap},
    shared_tier::{
        SharedAliasView, SharedTier, SharedValueView, SharedView, TierStatus, Unavailable, Wanted,
    },
};

/// The data of at most this many contacts is shown.
const MOST_CONTACTS: usize = 8;

/// The state of the tier.
#[derive(Clone, Copy, Debug)]
pub struct SharedTierStatus {
    /// The state as the tier itself reports it.
    pub tier: TierStatus,
    /// Whether lifetimes in memory are short, because this replica may have missed what others announced.
    pub memory_is_distrusted: bool,
}

/// What the tier has for an identifier.
#[derive(Clone, Debug)]
pub struct SharedExplanation {
    /// The alias or negative entry; `None` also if the identifier is a contact id without a type.
    pub alias: Option<SharedAliasView>,
    /// The contact that the alias leads to.
    pub leads_to: Option<ContactId>,
    /// How long other replicas still wait for a flight that looks up the identifier; zero without such a flight, and
    /// for a contact id without a type.
    pub busy: Duration,
    /// The contact that the identifier leads to, and the contacts that this replica's memory has for it; eight at most.
    pub contacts: Vec<SharedContact>,
}

/// What the tier has of a contact.
#[derive(Clone, Debug)]
pub struct SharedContact {
    /// The contact.
    pub id: ContactId,
    /// Its parts.
    pub parts: PartMap<Option<SharedValueView>>,
    /// For each part, how long only its entity endpoint may still fill it; zero if the overview may, too.
    pub entity_only: PartMap<Duration>,
    /// For how long other replicas wait for a flight that looks up the contact. `None` if it was read through an alias,
    /// for which the tier does not report this.
    pub busy: Option<Duration>,
}

impl SharedContact {
    fn new(id: ContactId, view: &SharedView, busy: Option<Duration>) -> Self {
        Self {
            id,
            parts: view.parts,
            entity_only: view.entity_only,
            busy,
        }
    }
}

impl CustomerService {
    /// Whether this replica has just started and still waits for the tier.
    pub fn waits_for_shared_tier(&self) -> bool {
        let shared = self.inner.tiers.shared.as_ref();
        shared.is_some_and(SharedTier::is_starting)
    }

    /// The state of the tier that replicas share. `None` without one.
    pub fn shared_tier_status(&self) -> Option<SharedTierStatus> {
        let tiers = &self.inner.tiers;
        let tier = tiers.shared.as_ref()?.status();
        let now = self.inner.clock.tick();
        let feed = tiers.memory.policy.feed.as_deref();
        Some(SharedTierStatus {
            tier,
            memory_is_distrusted: feed.is_some_and(|feed| feed.distrusts_stream(now)),
        })
    }

    /// What the shared tier has for an identifier, and for the contacts that memory has for it. `None` without such a
    /// tier. All contacts are requested together, so this takes no longer than one operation may.
    pub async fn explain_shared(
        &self,
        lookup: &Lookup,
        in_memory: &[ContactId],
    ) -> Option<Result<SharedExplanation, Unavailable>> {
        let tier = self.inner.tiers.shared.as_ref()?;
        Some(explain(tier, lookup, in_memory).await)
    }
}

async fn explain(
    tier: &SharedTier,
    lookup: &Lookup,
    in_memory: &[ContactId],
) -> Result<SharedExplanation, Unavailable> {
    // A bare contact id has no alias.
    let by_id = lookup.key().bare_id();
    let mut ids: Vec<ContactId> = by_id.into_iter().collect();
    ids.extend(in_memory.iter().filter(|id| by_id != Some(**id)));
    ids.truncate(MOST_CONTACTS);
    let views = join_all(ids.iter().map(|id| tier.explain(Wanted::Contact(*id))));
    let by_alias = async {
        match by_id {
            Some(_) => Ok(SharedView::default()),
            None => tier.explain(Wanted::Alias(lookup)).await,
        }
    };
    let (views, by_alias) = tokio::join!(views, by_alias);
    let (views, by_alias) = (views.into_iter().collect::<Result<Vec<_>, _>>()?, by_alias?);
    let mut contacts: Vec<_> = ids
        .iter()
        .zip(&views)
        .map(|(id, view)| SharedContact::new(*id, view, Some(view.busy)))
        .collect();
    if let Some(id) = by_alias.contact.filter(|id| !ids.contains(id)) {
        contacts.insert(0, SharedContact::new(id, &by_alias, None));
        contacts.truncate(MOST_CONTACTS);
    }
    Ok(SharedExplanation {
        alias: by_alias.alias,
        leads_to: by_alias.contact,
        busy: by_alias.busy,
        contacts,
    })
}
