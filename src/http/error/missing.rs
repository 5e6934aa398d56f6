//! What a credential lacks: the member `missing` of a 403, its detail, and its challenge (RFC 6750, 3).

use http::HeaderValue;

use super::API_KEY_CHALLENGE;
use crate::{config::Scope, domain::IdentifierKind};

/// The challenge to a caller that needs a token.
const BEARER_CHALLENGE: &str = "Bearer realm=\"engage-bff\"";

/// What a credential lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Missing {
    /// The client with this key does not have the scope.
    ScopeOfClient(Scope),
    /// The token does not contain the scope.
    ScopeOfToken(Scope),
    /// The scope is for clients alone: no token is accepted next to the key.
    ScopeWithoutToken(Scope),
    /// The client may not look up by this kind of identifier.
    Identifier(IdentifierKind),
    /// The path is for shoppers' tokens.
    Token,
}

impl Missing {
    /// The name of the scope or of the kind of identifier.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Identifier(kind) => kind.as_str(),
            other => other.scope().unwrap_or_default(),
        }
    }

    pub(super) fn detail(self) -> String {
        let name = self.name();
        match self {
            Self::ScopeOfClient(_) => format!("The client lacks the scope {name}."),
            Self::ScopeOfToken(_) => format!("The token lacks the scope {name}."),
            Self::ScopeWithoutToken(_) => {
                format!("The scope {name} is for a client's key alone, without a token.")
            }
            Self::Identifier(_) => format!("The client may not look up by {name}."),
            Self::Token => "This path is for a shopper's own token.".to_owned(),
        }
    }

    /// The value of `WWW-Authenticate`.
    pub(super) fn challenge(self) -> HeaderValue {
        let scheme = match self {
            Self::ScopeOfToken(_) | Self::Token => BEARER_CHALLENGE,
            Self::ScopeOfClient(_) | Self::ScopeWithoutToken(_) | Self::Identifier(_) => {
                API_KEY_CHALLENGE
            }
        };
        let scope = self.scope().map(|scope| format!(", scope=\"{scope}\""));
        let scope = scope.unwrap_or_default();
        let challenge = format!("{scheme}, error=\"insufficient_scope\"{scope}");
        HeaderValue::try_from(challenge).expect("names of scopes make a header value")
    }

    /// The scope that the request needs, if one would help.
    fn scope(self) -> Option<&'static str> {
        match self {
            Self::ScopeOfClient(scope)
            | Self::ScopeOfToken(scope)
            | Self::ScopeWithoutToken(scope) => Some(scope.as_str()),
            Self::Token => Some(Scope::ReadSelf.as_str()),
            Self::Identifier(_) => None,
        }
    }
}
