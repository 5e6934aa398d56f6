//! Who wants an upstream call, and how urgently: what decides who is let through first when there are
//! fewer calls than wishes.

use std::{fmt, sync::Arc};

use smallvec::SmallVec;

/// How urgent an upstream call is, least urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Urgency {
    /// What is held is fresh, and will not be for long.
    Ahead = 0,
    /// Somebody was answered with what is stale.
    Refresh = 1,
    /// Somebody waits for what is not held.
    Miss = 2,
    /// Somebody waits for what is true now.
    Fresh = 3,
}

impl Urgency {
    /// Every urgency, least first.
    pub const ALL: [Urgency; 4] = [
        Urgency::Ahead,
        Urgency::Refresh,
        Urgency::Miss,
        Urgency::Fresh,
    ];

    /// Whether a caller waits for the call. Such calls go before those in the background.
    pub const fn is_awaited(self) -> bool {
        matches!(self, Urgency::Miss | Urgency::Fresh)
    }

    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Urgency::Ahead => "refresh_ahead",
            Urgency::Refresh => "refresh",
            Urgency::Miss => "miss",
            Urgency::Fresh => "fresh",
        }
    }
}

/// The configured name of a client: calls are shared out among clients, so that one client's misses
/// can't starve another's. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientName(Arc<str>);

impl ClientName {
    /// The name as it is configured.
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

/// Whose share of the upstream calls a call is part of: fair queueing's *flow*. Clients take turns, and
/// within a client's turns its shoppers do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The client; all shoppers that come without one count as one client.
    pub client: ClientName,
    /// The shopper whose token came with the request, as an opaque hash.
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

/// One flow's interest in an upstream call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose share the call would be part of.
    pub flow: Flow,
    /// How urgently it is wanted.
    pub urgency: Urgency,
}

/// The claims on one upstream call: one for each flow that wants it, with the flow's greatest urgency.
/// Never empty, and no more than there are clients and shoppers who may ask for one contact.
#[derive(Clone, Debug)]
pub struct Claims(SmallVec<[Claim; 1]>);

impl Claims {
    /// Adds a claim. Returns whether that changed anything.
    pub fn add(&mut self, claim: &Claim) -> bool {
        let same_flow = |held: &&mut Claim| held.flow == claim.flow;
        let Some(held) = self.0.iter_mut().find(same_flow) else {
            self.0.push(claim.clone());
            return true;
        };
        let is_more = claim.urgency > held.urgency;
        held.urgency = held.urgency.max(claim.urgency);
        is_more
    }

    /// The claims, the first one first.
    pub fn iter(&self) -> std::slice::Iter<'_, Claim> {
        self.0.iter()
    }

    /// The greatest urgency of them.
    pub fn urgency(&self) -> Urgency {
        let urgencies = self.0.iter().map(|claim| claim.urgency);
        urgencies.max().unwrap_or(Urgency::Ahead)
    }
}

impl From<Claim> for Claims {
    fn from(claim: Claim) -> Self {
        Self(SmallVec::from_buf([claim]))
    }
}

impl<'a> IntoIterator for &'a Claims {
    type Item = &'a Claim;
    type IntoIter = std::slice::Iter<'a, Claim>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flow_has_one_claim_of_its_greatest_urgency() {
        let claim = |flow: &str, urgency| Claim {
            flow: flow.into(),
            urgency,
        };
        let mut claims = Claims::from(claim("a", Urgency::Refresh));
        assert!(claims.add(&claim("b", Urgency::Miss)));
        assert!(claims.add(&claim("a", Urgency::Miss)));
        assert!(!claims.add(&claim("a", Urgency::Ahead)));
        assert!(!claims.add(&claim("b", Urgency::Miss)));
        assert_eq!(claims.urgency(), Urgency::Miss);
        let held: Vec<_> = claims.iter().cloned().collect();
        assert_eq!(held, [claim("a", Urgency::Miss), claim("b", Urgency::Miss)]);
    }
}
