//! Who wants an upstream call, and how urgently: what decides who is let through first when there are
//! fewer calls than wishes.

use std::{fmt, sync::Arc};

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
