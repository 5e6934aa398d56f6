//! How an error of the customer service, and of Engage behind it, becomes a code.

use std::time::Duration;

use super::{ApiError, Code};
use crate::{customer, engage};

impl From<customer::Error> for ApiError {
    fn from(error: customer::Error) -> Self {
        use engage::Error as E;
        let upstream = match error {
            customer::Error::TooLate => return Self::new(Code::UpstreamTimeout),
            customer::Error::Damaged => return Self::new(Code::Internal),
            customer::Error::NotCached => return Self::new(Code::NotCached),
            customer::Error::Upstream(upstream) => upstream,
        };
        match upstream {
            E::Rejected { code } => Self::new(match &*code {
                "InvalidEmailAddress" => Code::InvalidEmailAddress,
                "InvalidPhoneNumber" => Code::InvalidPhoneNumber,
                "InvalidSocialSecurityNumber" => Code::InvalidSocialSecurityNumber,
                "InvalidContactType" => Code::InvalidContactType,
                "InvalidContactId" => Code::InvalidContactId,
                "InvalidSearchQuery" => Code::InvalidSearchQuery,
                _ => Code::Rejected(code),
            }),
            E::NotFound => Self::new(Code::ContactNotFound),
            E::MultipleMatches(_) => Self::new(Code::MultipleMatches),
            E::IdentityMismatch => Self::new(Code::IdentityMismatch),
            E::Unauthorized => Self::new(Code::UpstreamUnauthorized),
            E::Forbidden => Self::new(Code::UpstreamForbidden),
            E::InvalidSystemConfiguration => Self::new(Code::InvalidSystemConfiguration),
            E::Failed {
                retry_after: Some(retry_after),
                ..
            } => Self::new(Code::UpstreamUnavailable).retry_after(retry_after),
            E::Failed { .. } | E::Unreachable { .. } | E::NotCalculated => {
                Self::new(Code::UpstreamFailed)
            }
            E::Invalid { .. } => Self::new(Code::UpstreamInvalid),
            E::RateLimited { retry_after } => Self::new(Code::UpstreamUnavailable)
                .retry_after(retry_after.unwrap_or(Duration::from_secs(1))),
            E::OverBudget { retry_after } | E::BreakerOpen { retry_after } => {
                Self::new(Code::UpstreamUnavailable).retry_after(retry_after)
            }
            E::Overloaded => Self::new(Code::Overloaded).retry_after(Duration::from_secs(1)),
            E::Timeout => Self::new(Code::UpstreamTimeout),
            E::Lost | E::Overtaken => Self::new(Code::Internal),
        }
    }
}
