//! Flows and priorities of upstream calls, by which admission control schedules them.

use std::{fmt, sync::Arc, time::Duration};

use smallvec::SmallVec;

use super::{listed_enum::listed_enum, part::PartSet, trace::FlightTrace};

listed_enum! {
    /// Priority of an upstream call, lowest first.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Priority {
        /// The cached data is fresh and about to expire.
        RefreshAhead => "refresh_ahead",
        /// Stale data was served.
        Refresh => "refresh",
        /// A prefetch or a batch needs data that memory can't serve: no shopper or till waits for it.
        Deferred => "deferred",
        /// A caller waits for data that is not cached.
        Miss => "miss",
        /// A caller waits for current data.
        Fresh => "fresh",
    }
}

/// The classes of priorities, lowest first: every call of a class that may start precedes those of the classes below
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PriorityClass {
    /// Refreshes of what is cached.
    Background,
    /// Prefetches and batches.
    Deferred,
    /// Calls that a caller waits for.
    Awaited,
}

impl Priority {
    /// Its class.
    pub const fn class(self) -> PriorityClass {
        match self {
            Priority::RefreshAhead | Priority::Refresh => PriorityClass::Background,
            Priority::Deferred => PriorityClass::Deferred,
            Priority::Miss | Priority::Fresh => PriorityClass::Awaited,
        }
    }
}

/// The configured name of a client. Calls are scheduled fairly among clients, so that one client's misses cannot starve
/// another's. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientName(Arc<str>);

impl ClientName {
    /// The configured name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ClientName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Debug for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A flow in the sense of fair queueing. Clients are served round robin, and within a client its shoppers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The client; all shoppers without one count as one client.
    pub client: ClientName,
    /// The shopper of the request's token, as an opaque hash.
    pub shopper: Option<u64>,
}

impl From<&str> for Flow {
    fn from(client: &str) -> Self {
        Self {
            client: client.into(),
            shopper: None,
        }
    }
}

/// A flow that requests an upstream call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The flow that the call is accounted to.
    pub flow: Flow,
    /// Its priority.
    pub priority: Priority,
}

/// What the requests that share an upstream call accept from another replica that may have made the call already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The parts that they wait for.
    pub needed: PartSet,
    /// The greatest age of another replica's data that all of them accept; zero if one of them accepts none.
    pub max_age: Duration,
}

impl Demand {
    /// Stands for any age.
    pub const ANY_AGE: Duration = Duration::from_secs(86_400);

    /// Adds the demand of one more request. Returns whether that changed anything.
    pub fn add(&mut self, other: Demand) -> bool {
        let both = Demand {
            needed: self.needed.union(other.needed),
            max_age: self.max_age.min(other.max_age),
        };
        std::mem::replace(self, both) != both
    }
}

/// One request for an upstream call.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The requester.
    pub requester: Requester,
    /// Its demand.
    pub demand: Demand,
    /// The span of the call, if this request starts it; `None` where nothing is traced.
    pub trace: Option<Arc<FlightTrace>>,
}

/// The requesters of one upstream call: one per flow, with the flow's highest priority. Never empty; bounded by the
/// number of clients and shoppers that may request one contact.
#[derive(Clone, Debug)]
pub struct Requesters(SmallVec<[Requester; 1]>);

impl Requesters {
    /// Adds a requester. Returns whether that changed anything.
    pub fn add(&mut self, requester: &Requester) -> bool {
        let same_flow = |known: &&mut Requester| known.flow == requester.flow;
        let Some(known) = self.0.iter_mut().find(same_flow) else {
            self.0.push(requester.clone());
            return true;
        };
        let is_higher = requester.priority > known.priority;
        known.priority = known.priority.max(requester.priority);
        is_higher
    }

    /// The requesters, in order of arrival.
    pub fn iter(&self) -> std::slice::Iter<'_, Requester> {
        self.0.iter()
    }

    /// The highest priority.
    pub fn priority(&self) -> Priority {
        let priorities = self.0.iter().map(|requester| requester.priority);
        priorities.max().unwrap_or(Priority::RefreshAhead)
    }
}

impl From<Requester> for Requesters {
    fn from(requester: Requester) -> Self {
        Self(SmallVec::from_buf([requester]))
    }
}

impl<'a> IntoIterator for &'a Requesters {
    type Item = &'a Requester;
    type IntoIter = std::slice::Iter<'a, Requester>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Part;

    #[test]
    fn demands_add_up_to_all_parts_and_the_least_age() {
        let demand = |parts: &[Part], seconds| Demand {
            needed: PartSet::of(parts),
            max_age: Duration::from_secs(seconds),
        };
        let mut all = demand(&[Part::Points], 60);
        assert!(!all.add(demand(&[], 60)));
        assert!(all.add(demand(&[Part::Profile], 90)));
        assert!(!all.add(demand(&[Part::Points], 90)));
        assert!(all.add(demand(&[], 10)));
        assert_eq!(all, demand(&[Part::Profile, Part::Points], 10));
    }

    #[test]
    fn each_flow_has_one_requester_of_highest_priority() {
        let requester = |flow: &str, priority| Requester {
            flow: flow.into(),
            priority,
        };
        let mut requesters = Requesters::from(requester("a", Priority::Refresh));
        assert!(requesters.add(&requester("b", Priority::Miss)));
        assert!(requesters.add(&requester("a", Priority::Miss)));
        assert!(!requesters.add(&requester("a", Priority::RefreshAhead)));
        assert!(!requesters.add(&requester("b", Priority::Miss)));
        assert_eq!(requesters.priority(), Priority::Miss);
        let all: Vec<_> = requesters.iter().cloned().collect();
        assert_eq!(
            all,
            [
                requester("a", Priority::Miss),
                requester("b", Priority::Miss)
            ]
        );
    }
}
