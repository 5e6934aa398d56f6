//! Applies invalidations, purges and the cache switch to the service and to the model.

use engage_bff::{
    customer::Reported,
    domain::{self, ChangeKind, PartSet},
};

use super::Machine;
use crate::{
    exchange::lock,
    world::{Alias, CONTACTS, TestLookup, id},
};

impl Machine {
    pub(super) async fn invalidate(&mut self, contact: usize, parts: PartSet) {
        let sequence = self.customers.arrival();
        self.customers
            .invalidate(id(contact), parts)
            .await
            .expect("there is no shared tier");
        let mark = lock(&self.wire).mark(self.now());
        self.model
            .invalidated(&self.world, contact, parts, sequence, mark);
    }

    /// A caller's report about the contact that the identifier leads to in the cache, if it leads to one.
    pub(super) async fn changed(&mut self, lookup: TestLookup, parts: PartSet) {
        let sequence = self.customers.arrival();
        let built = lookup.build(false, &self.digester);
        let alias = self.customers.explain(&built).alias;
        let cached = alias.and_then(|(found, _)| (0..CONTACTS).find(|it| id(*it) == found));
        let contact = match lookup.alias {
            Alias::Id(contact) => Some(contact),
            _ => cached,
        };
        let reported = self.customers.report_change(&built, parts, |_| true).await;
        let expected = match contact {
            Some(_) => Reported::Contact,
            None => Reported::Unknown,
        };
        assert_eq!(reported, Ok(expected));
        let mark = lock(&self.wire).mark(self.now());
        if let Some(contact) = contact {
            self.model
                .invalidated(&self.world, contact, parts, sequence, mark);
        }
        if cached.is_none() {
            self.model.negative_ended(lookup, mark);
        }
    }

    /// A webhook.
    pub(super) async fn webhook(&mut self, contact: usize, kind: ChangeKind) {
        let sequence = self.customers.arrival();
        self.customers
            .apply(&domain::Change {
                kind,
                contacts: vec![id(contact)],
            })
            .await
            .expect("there is no shared tier");
        let mark = lock(&self.wire).mark(self.now());
        let parts = match kind {
            ChangeKind::Created => PartSet::EMPTY,
            ChangeKind::Changed(parts) => parts,
            ChangeKind::Deleted => PartSet::ALL,
        };
        self.model
            .invalidated(&self.world, contact, parts, sequence, mark);
        self.model.negatives_ended = mark;
        self.model.last_notice = mark;
    }

    pub(super) async fn purge(&mut self, contact: usize) {
        let sequence = self.customers.arrival();
        self.customers
            .purge(id(contact))
            .await
            .expect("there is no shared tier");
        let mark = lock(&self.wire).mark(self.now());
        self.model
            .invalidated(&self.world, contact, PartSet::ALL, sequence, mark);
    }

    pub(super) fn switch(&mut self, on: bool) {
        let sequence = self.customers.arrival();
        self.customers.switch_cache(on);
        let mark = lock(&self.wire).mark(self.now());
        if !on {
            self.model.everything_purged(&self.world, sequence, mark);
            self.model.negatives_ended = mark;
        }
        self.model.switched(on, mark);
    }

    pub(super) async fn drop_negatives(&mut self) {
        self.customers
            .drop_negatives()
            .await
            .expect("there is no shared tier");
        let mark = lock(&self.wire).mark(self.now());
        self.model.negatives_ended = mark;
        self.model.last_notice = mark;
    }

    pub(super) async fn purge_by(&mut self, lookup: TestLookup) {
        let sequence = self.customers.arrival();
        let built = lookup.build(false, &self.digester);
        self.customers
            .purge_by(&built)
            .await
            .expect("there is no shared tier");
        let mut wire = lock(&self.wire);
        let mark = wire.mark(self.now());
        self.model
            .purged_by(&self.world, &wire, lookup, sequence, mark);
    }

    pub(super) async fn purge_everything(&mut self) {
        let sequence = self.customers.arrival();
        self.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
        let mark = lock(&self.wire).mark(self.now());
        self.model.everything_purged(&self.world, sequence, mark);
    }
}
