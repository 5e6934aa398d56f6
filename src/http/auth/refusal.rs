//! Why a caller is not admitted, and the one place where that becomes a response.

use std::time::Duration;

use super::super::{
    entry::EntryRefusal,
    error::{ApiError, Code, RateLimit},
};
use super::{jwks::KeysUnavailable, token_refusals::TokenRefusal};

/// The challenge to a token that is not valid (RFC 6750, 3).
const INVALID_TOKEN: &str = "Bearer realm=\"engage-bff\", error=\"invalid_token\"";

/// Why a caller is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum AuthRefusal {
    /// No credential, or a key of no client.
    NoCredential,
    /// A token that is not valid.
    InvalidToken(TokenRefusal),
    /// The issuer's keys, without which a token can't be verified, are not known.
    KeysUnavailable { retry_after: Duration },
    /// More requests a second than the client or shopper may send, or more changes than it may report.
    RateLimited {
        limit: RateLimit,
        rate: u32,
        retry_after: Duration,
    },
    /// More concurrent requests than the client may send.
    TooManyConcurrent,
    /// No credential, and a host or page that needs one.
    Entry(EntryRefusal),
}

impl From<TokenRefusal> for AuthRefusal {
    fn from(why: TokenRefusal) -> Self {
        Self::InvalidToken(why)
    }
}

impl From<KeysUnavailable> for AuthRefusal {
    fn from(KeysUnavailable { retry_after }: KeysUnavailable) -> Self {
        Self::KeysUnavailable { retry_after }
    }
}

impl From<AuthRefusal> for ApiError {
    fn from(refusal: AuthRefusal) -> Self {
        match refusal {
            AuthRefusal::NoCredential => Self::new(Code::Unauthorized),
            AuthRefusal::InvalidToken(_) => Self::new(Code::Unauthorized).challenge(INVALID_TOKEN),
            AuthRefusal::KeysUnavailable { retry_after } => {
                let detail = "The token issuer's keys can't be read now.";
                Self::with_detail(Code::UpstreamUnavailable, detail).retry_after(retry_after)
            }
            AuthRefusal::RateLimited {
                limit,
                rate,
                retry_after,
            } => {
                let error = Self::new(Code::RateLimited);
                let error = match limit {
                    RateLimit::Requests => error,
                    RateLimit::Changes => {
                        error.detailed("Too many reported changes from this client or shopper.")
                    }
                };
                error.rate_limited(limit, rate, retry_after)
            }
            AuthRefusal::TooManyConcurrent => {
                let detail = "Too many concurrent requests from this client.";
                Self::with_detail(Code::RateLimited, detail).retry_after(Duration::from_secs(1))
            }
            AuthRefusal::Entry(refusal) => Self::with_detail(
                Code::Forbidden,
                match refusal {
                    EntryRefusal::Host => {
                        "Without a credential, Host must be localhost or a loopback address. Otherwise configure auth.clients."
                    }
                    EntryRefusal::Page => {
                        "Without a credential, pages of other origins are refused. Configure auth.clients or auth.jwt."
                    }
                },
            ),
        }
    }
}
