//! What a test does to the server without the replicas' knowledge.

use engage_bff::shared_tier::protocol::{BackendError, StreamEntry};

use super::{Evicted, server::Server};

impl Server {
    /// The same server without keys.
    pub(super) fn emptied(&self) -> Self {
        Self {
            data_set: self.data_set,
            refusal: self.refusal.clone(),
            ..Self::default()
        }
    }

    /// Whether a replica that connects is accepted: not by a read-only server.
    pub(super) fn may_accept(&self) -> Result<(), BackendError> {
        match &self.refusal {
            Some(BackendError::ReadOnly) => Err(BackendError::ReadOnly),
            _ => Ok(()),
        }
    }

    pub(super) fn evict(&mut self, key: Evicted) -> bool {
        match key {
            Evicted::Contact(number) => remove_nth(&mut self.contacts, number),
            Evicted::Alias(number) => remove_nth(&mut self.aliases, number),
            Evicted::Message(number) => remove_nth(&mut self.messages, number),
            Evicted::Stream => {
                let id = self.epoch_id();
                id.is_some_and(|id| self.streams.remove(&id).is_some())
            }
            Evicted::Epoch => self.epoch.take().is_some(),
            Evicted::Any(number) => self.evict_any(number),
        }
    }

    fn evict_any(&mut self, number: usize) -> bool {
        let sizes = self.counts();
        let all = sizes.iter().sum::<usize>() + 2;
        let number = number % all;
        if number < sizes[0] {
            self.evict(Evicted::Contact(number))
        } else if number < sizes[0] + sizes[1] {
            self.evict(Evicted::Alias(number - sizes[0]))
        } else if number < all - 2 {
            self.evict(Evicted::Message(number - sizes[0] - sizes[1]))
        } else if number == all - 2 {
            self.evict(Evicted::Stream)
        } else {
            self.evict(Evicted::Epoch)
        }
    }

    pub(super) fn trim(&mut self, newest: usize) {
        if let Some(id) = self.epoch_id()
            && let Some(stream) = self.streams.get_mut(&id)
        {
            stream.trim(newest);
        }
    }

    pub(super) fn counts(&self) -> [usize; 3] {
        [self.contacts.len(), self.aliases.len(), self.messages.len()]
    }

    pub(super) fn entries(&self) -> Vec<StreamEntry> {
        let stream = self.epoch_id().and_then(|id| self.streams.get(&id));
        stream.map_or(Vec::new(), |stream| stream.entries().cloned().collect())
    }
}

fn remove_nth<K: Ord + Copy, V>(
    keys: &mut std::collections::BTreeMap<K, V>,
    number: usize,
) -> bool {
    let number = number.checked_rem(keys.len()).unwrap_or(0);
    let key = keys.keys().nth(number).copied();
    key.is_some_and(|key| keys.remove(&key).is_some())
}
