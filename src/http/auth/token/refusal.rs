//! Why a token is refused. Operators learn it, callers don't: a forger would learn from it too.

use crate::domain::listed_enum::listed_enum;

listed_enum! {
    /// Why a token is refused: `why` in the log and in the metric. The checks are made in another order: the first that
    /// fails decides.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in crate::http) enum TokenRefusal {
        /// Another issuer's, or no issuer is configured.
        Issuer => "issuer",
        /// For another audience.
        Audience => "audience",
        /// `exp` is over.
        Expired => "expired",
        /// `nbf` or `iat` is in the future.
        NotYetValid => "not_yet_valid",
        /// Valid for longer than `auth.jwt.max_lifetime`.
        Lifetime => "lifetime",
        /// The issuer has no such key.
        Key => "key",
        /// Signed with none of the issuer's keys.
        Signature => "signature",
        /// An algorithm that is not accepted.
        Algorithm => "algorithm",
        /// A type that is not accepted, such as a nested token or a security event.
        Type => "type",
        /// A claim is missing that must be there, or can't be read.
        Claim => "claim",
        /// Not a signed token, or more than one.
        Malformed => "malformed",
        /// Longer than tokens are parsed.
        TooLarge => "too_large",
        /// Requires an extension.
        Crit => "crit",
    }
}
