//! Why a look-up has no answer.

use crate::engage;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Engage gave no usable answer, and nothing that is cached may be served instead.
    #[error(transparent)]
    Upstream(#[from] engage::Error),
    /// The request's deadline passed, or changes kept overtaking what was found. An upstream call that is in flight
    /// continues.
    #[error("engage did not answer before the deadline")]
    TooLate,
    /// The cached record was damaged and has been dropped. The next request fetches it again.
    #[error("the cached record is damaged")]
    Damaged,
    /// The request accepts only a cached answer, and there is none.
    #[error("the answer is not cached")]
    NotCached,
}

impl Error {
    /// Whether Engage's answer is about the identifier itself: it is unknown, ambiguous or malformed, or its contact
    /// type is unknown.
    pub fn is_about_the_identifier(&self) -> bool {
        matches!(self, Self::Upstream(error) if error.is_about_the_identifier())
    }

    /// Whether Engage does not know the contact type.
    pub fn is_about_the_contact_type(&self) -> bool {
        matches!(self, Self::Upstream(error) if error.is_about_the_contact_type())
    }

    /// Whether Engage knows no contact by the identifier.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Upstream(engage::Error::NotFound))
    }

    /// Whether Engage could not be reached or gave no usable answer. This says nothing about the identifier or the
    /// request.
    pub fn is_unavailable(&self) -> bool {
        use engage::Error::{MultipleMatches, NotFound, Rejected};
        match self {
            Self::Upstream(NotFound | MultipleMatches(_) | Rejected { .. })
            | Self::Damaged
            | Self::NotCached => false,
            Self::Upstream(_) | Self::TooLate => true,
        }
    }
}
