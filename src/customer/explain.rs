//! What is cached for an identifier, for operators.

use std::time::Duration;

use super::CustomerService;
use crate::{
    cache::{
        CallKey,
        explain::{AliasView, ContactView, NegativeView},
    },
    domain::{ContactId, HistoryPart, Identifier, Identity, Lookup, LookupKey, Match, Part},
    engage,
};

/// What is cached for an identifier.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The contact that the identifier leads to, if an alias is cached.
    pub alias: Option<(ContactId, AliasView)>,
    /// Why the identifier leads to no contact, if a negative entry is cached.
    pub negative: Option<NegativeView<engage::Error>>,
    /// What is cached of the contact that it leads to, and of contacts whose profile shows the identifier.
    pub contacts: Vec<ContactView>,
    /// The calls that failed and are in back-off.
    pub failures: Vec<CallInBackOff>,
}

/// A call that failed and is in back-off.
#[derive(Clone, Debug)]
pub struct CallInBackOff {
    /// The name of the call.
    pub call: &'static str,
    /// The contact, if it is known.
    pub contact: Option<ContactId>,
    /// How it failed.
    pub why: engage::Error,
    /// The time until the back-off ends.
    pub left: Duration,
}

impl CustomerService {
    /// What is cached for an identifier. Reads every record and every alias.
    pub fn explain(&self, lookup: &Lookup) -> Explanation {
        let memory = &self.inner.tiers.memory;
        let alias = memory.explain_alias(lookup.key());
        let mut ids = self.contacts_with(&lookup.identifier);
        if let Identifier::ContactId(id) = lookup.identifier {
            ids.push(id);
        }
        ids.extend(alias.iter().map(|(id, _)| *id));
        ids.sort_unstable();
        ids.dedup();
        let failures = self.failures(lookup.key(), &ids);
        Explanation {
            alias,
            failures,
            negative: memory.explain_negative(lookup.key()),
            contacts: ids.into_iter().map(|id| memory.explain(id)).collect(),
        }
    }

    /// The cached contacts whose profile has the identifier.
    fn contacts_with(&self, identifier: &Identifier) -> Vec<ContactId> {
        let reader = &self.inner.alias_reader;
        let matches = |cached: &Identity| reader.matches(&cached.aliases, identifier) == Match::Yes;
        self.inner
            .tiers
            .memory
            .contacts_where(|_, cached| cached.is_some_and(matches))
    }

    fn failures(&self, key: &LookupKey, ids: &[ContactId]) -> Vec<CallInBackOff> {
        let now = self.inner.clock.tick();
        let by_key = [
            (None, CallKey::OverviewBy(key.clone())),
            (None, CallKey::Resolution(key.clone())),
        ];
        let of_contacts = ids.iter().flat_map(|id| {
            let parts = Part::ALL.into_iter().map(|part| CallKey::Part(*id, part));
            let histories = HistoryPart::ALL.into_iter();
            let histories = histories.map(|part| CallKey::History(*id, part));
            let calls = std::iter::once(CallKey::Overview(*id))
                .chain(parts)
                .chain(histories);
            calls.map(|call| (Some(*id), call))
        });
        let failed = |(contact, call): (Option<ContactId>, CallKey)| {
            let (why, left) = self.inner.tiers.memory.failure(&call, now)?;
            Some(CallInBackOff {
                call: call.as_str(),
                contact,
                why,
                left,
            })
        };
        by_key
            .into_iter()
            .chain(of_contacts)
            .filter_map(failed)
            .collect()
    }
}
