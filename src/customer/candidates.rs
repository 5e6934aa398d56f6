//! When several contacts share an identifier: lists them for a caller that may know them, or finds the only one of a
//! type.
//!
//! Engage lists the contacts with its 409; at most [`MAX_MATCHES`] are kept. Their types are in their profiles, which
//! are read from `/contacts/{id}` through the cache and the shared flights, within the request's deadline and its share
//! of the budget. A contact that Engage no longer knows, or whose profile contradicts the identifier, is not a
//! candidate.
//!
//! A contact is chosen by its type only if nothing is in doubt: the list is complete, every profile is known, and each
//! shows one readable type. A list that is older than the last change of any contact decides nothing.
//!
//! [`MAX_MATCHES`]: crate::domain::matches::MAX_MATCHES

use std::sync::Arc;

use futures_util::future::join_all;

use super::{CustomerQuery, CustomerService, Error, Found, Inner, Verdict, search::Search};
use crate::{
    domain::{
        ContactId, ContactType, FieldValue, Identifier, Identity, Lookup, Match, Matches, Part,
    },
    engage,
};

/// How many profiles one request reads at once.
const CONCURRENT: usize = 5;
/// How often a request is tried in all, if a contact is created, changed or deleted in the meantime.
const MAX_ROUNDS: usize = 3;

/// One of several contacts that share an identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: ContactId,
    /// Its type; `None` if it is not known.
    pub contact_type: Option<ContactType>,
}

/// Why there is no answer, for a caller that may know which contacts share the identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub error: Error,
    /// The known candidates, if several contacts share the identifier.
    pub candidates: Option<Vec<Candidate>>,
}

/// What the profile of a listed contact shows.
struct OwnProfile {
    contact_type: FieldValue<ContactType>,
    verdict: Verdict,
}

/// A listed contact, and its profile or why there is none.
type Listed = (ContactId, Result<OwnProfile, Error>);

impl CustomerService {
    /// The same as [`find`](Self::find) for a caller that may know which contacts share the identifier.
    pub async fn find_or_candidates(&self, query: &CustomerQuery) -> Result<Found, Refusal> {
        let fences = &self.inner.tiers.memory.fences;
        for _ in 0..MAX_ROUNDS {
            let began = fences.latest();
            let error = match self.find(query).await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            let Error::Upstream(engage::Error::MultipleMatches(matches)) = &error else {
                return Err(Refusal::from(error));
            };
            let candidates = Box::pin(self.inner.candidates(query, matches)).await;
            if fences.negatives_not_before(query.lookup.key()) <= began {
                let candidates = Some(candidates);
                return Err(Refusal { error, candidates });
            }
        }
        Err(Refusal::from(Error::TooLate))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            error,
            candidates: None,
        }
    }
}

impl Inner {
    /// Answers with the only contact that has the identifier or, if several have it, with the only one of them that is
    /// of the type.
    pub(super) async fn find_preferred(
        self: &Arc<Self>,
        query: &CustomerQuery,
        preferred: &ContactType,
    ) -> Result<Found, Error> {
        let fences = &self.tiers.memory.fences;
        for _ in 0..MAX_ROUNDS {
            let began = fences.latest();
            let search = Search::new(self, query).run_at(self.clock.tick());
            let matches = match search.await {
                Err(Error::Upstream(engage::Error::MultipleMatches(matches))) => matches,
                outcome => return outcome,
            };
            let outcome = self.find_among(query, &matches, preferred).await?;
            let is_outdated = fences.negatives_not_before(query.lookup.key()) > began;
            match outcome {
                _ if is_outdated => {}
                Choice::Found(found) => return Ok(*found),
                Choice::None => return Err(engage::Error::MultipleMatches(matches).into()),
                Choice::Moved => {}
            }
        }
        Err(Error::TooLate)
    }

    async fn find_among(
        self: &Arc<Self>,
        query: &CustomerQuery,
        matches: &Matches,
        preferred: &ContactType,
    ) -> Result<Choice, Error> {
        if !matches.are_complete() {
            return Ok(Choice::None);
        }
        let listed = self.profiles(query, matches).await;
        let Some((id, own)) = choose(listed, preferred)? else {
            return Ok(Choice::None);
        };
        let mut found = match self.find_chosen(query, id, preferred).await {
            Err(Error::Upstream(engage::Error::NotFound)) => return Ok(Choice::Moved),
            outcome => outcome?,
        };
        // Checked last, in the profile that is sent: another profile decided the choice.
        let identity = self.identity(&found)?;
        let is_chosen =
            self.may_have(query, &identity) && identity.contact_type.only() == Some(preferred);
        if !is_chosen {
            return Ok(Choice::Moved);
        }
        found.verdict = found.verdict.and(&own.verdict);
        Ok(Choice::Found(Box::new(found)))
    }

    /// The chosen contact. Its own profile shows that it exists and is of the type. If the overview does not know the
    /// contact yet, the entity endpoints fill what they can.
    async fn find_chosen(
        self: &Arc<Self>,
        query: &CustomerQuery,
        id: ContactId,
        contact_type: &ContactType,
    ) -> Result<Found, Error> {
        let (identifier, digester) = (Identifier::ContactId(id), &self.alias_reader.digester);
        let by_id = CustomerQuery {
            lookup: Lookup::new(identifier, Some(contact_type.clone()), digester),
            prefer: None,
            ..query.clone()
        };
        let search = || Search::new(self, &by_id).of_known_contact(id);
        match search().run_at(self.clock.tick()).await {
            Err(Error::Upstream(engage::Error::NotFound)) => {
                let search = search().without_overview(self.engage.overview_parts());
                search.run_at(self.clock.tick()).await
            }
            outcome => outcome,
        }
    }

    /// The candidates among the listed contacts, in Engage's order.
    async fn candidates(
        self: &Arc<Self>,
        query: &CustomerQuery,
        matches: &Matches,
    ) -> Vec<Candidate> {
        let listed = self.profiles(query, matches).await;
        let candidate = |(id, own): Listed| Candidate {
            id,
            contact_type: own.ok().and_then(|own| own.contact_type.only().cloned()),
        };
        listed.into_iter().map(candidate).collect()
    }

    /// The profiles of the listed contacts. Contacts that are no candidates are left out.
    async fn profiles(self: &Arc<Self>, query: &CustomerQuery, matches: &Matches) -> Vec<Listed> {
        let mut listed = Vec::with_capacity(matches.ids().len());
        for ids in matches.ids().chunks(CONCURRENT) {
            if self.clock.tick() >= query.deadline {
                // The deadline has passed: start no call that no request would wait for.
                listed.extend(ids.iter().map(|id| (*id, Err(Error::TooLate))));
                continue;
            }
            let profiles = ids.iter().map(|id| self.profile(query, *id));
            for (id, profile) in ids.iter().zip(join_all(profiles).await) {
                match profile {
                    Ok(None) | Err(Error::Upstream(engage::Error::NotFound)) => {}
                    Ok(Some(own)) => listed.push((*id, Ok(own))),
                    Err(error) => listed.push((*id, Err(error))),
                }
            }
        }
        listed
    }

    /// The contact's profile from its entity endpoint; `None` if it contradicts the identifier.
    async fn profile(
        self: &Arc<Self>,
        query: &CustomerQuery,
        id: ContactId,
    ) -> Result<Option<OwnProfile>, Error> {
        let profile = Part::Profile.into();
        let by_id = CustomerQuery {
            lookup: Lookup::by_id(id),
            prefer: None,
            requested: profile,
            fresh: query.fresh.intersection(profile),
            ..query.clone()
        };
        let search = Search::new(self, &by_id).without_overview(profile);
        let found = search.run_at(self.clock.tick()).await?;
        let identity = self.identity(&found)?;
        Ok(self.may_have(query, &identity).then_some(OwnProfile {
            contact_type: identity.contact_type,
            verdict: found.verdict,
        }))
    }

    fn identity(&self, found: &Found) -> Result<Identity, Error> {
        let parts = self.tiers.memory.parts_of(&found.record);
        let profile = parts
            .and_then(|parts| parts.profile)
            .ok_or(Error::Damaged)?;
        Ok(profile.data.identity.clone())
    }

    /// Whether the contact may have the query's identifier. A hidden one does not contradict.
    fn may_have(&self, query: &CustomerQuery, identity: &Identity) -> bool {
        let identifier = &query.lookup.identifier;
        self.alias_reader.matches(&identity.aliases, identifier) != Match::No
    }
}

/// The result of a choice.
enum Choice {
    /// The contact was found, and is of the type.
    Found(Box<Found>),
    /// Of the contacts whose type is known, none or several are of the type, or too little is known of the others.
    None,
    /// The chosen contact was changed in the meantime.
    Moved,
}

/// The only contact of the type; `None` if there is none, or if another may be of the type too.
fn choose(
    listed: Vec<Listed>,
    preferred: &ContactType,
) -> Result<Option<(ContactId, OwnProfile)>, Error> {
    let mut chosen = None;
    let mut failure = None;
    let mut is_in_doubt = false;
    for (id, own) in listed {
        match own {
            Err(error) => failure = failure.or(Some(error)),
            Ok(own) => match own.contact_type.only() {
                Some(found) if found == preferred => {
                    is_in_doubt |= chosen.replace((id, own)).is_some();
                }
                Some(_) => {}
                // Absent, unreadable or contradictory: it may be of any type.
                None => is_in_doubt = true,
            },
        }
    }
    match failure {
        _ if is_in_doubt => Ok(None),
        Some(error) => Err(error),
        None => Ok(chosen),
    }
}
