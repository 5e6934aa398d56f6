//! The compact serialization of a signed token (RFC 7515, 7.1), parsed before its signature is verified.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Map, Value};

use super::super::token_refusals::TokenRefusal;
use crate::http::json_members::JsonMembers;

/// The parts of a token whose signature is not verified yet.
pub(super) struct UnverifiedToken<'a> {
    signed: &'a str,
    pub(super) signature: &'a str,
    pub(super) header: JoseHeader,
    pub(super) claims: Map<String, Value>,
}

/// The header parameters that are used. Keys and certificates that a header contains or points to (`jwk`, `jku`, `x5c`,
/// `x5u`) are ignored.
pub(super) struct JoseHeader {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    pub(super) media_type: Option<String>,
}

impl<'a> UnverifiedToken<'a> {
    /// Refuses anything but a signed token, and a header that requires an extension.
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenRefusal> {
        let parts = token
            .rsplit_once('.')
            .and_then(|(signed, signature)| Some((signed, signed.split_once('.')?, signature)));
        let (signed, (header, payload), signature) = parts.ok_or(TokenRefusal::Malformed)?;
        let members = |part| members(part).ok_or(TokenRefusal::Malformed);
        Ok(Self {
            signed,
            signature,
            header: JoseHeader::of(&members(header)?)?,
            claims: members(payload)?,
        })
    }

    /// Whether the signature was made with this key.
    pub(super) fn is_signed_with(&self, key: &DecodingKey) -> bool {
        let Self {
            signed, signature, ..
        } = self;
        crypto::verify(signature, signed.as_bytes(), key, self.header.algorithm)
            .is_ok_and(|is_good| is_good)
    }
}

impl JoseHeader {
    fn of(header: &Map<String, Value>) -> Result<Self, TokenRefusal> {
        // No critical extension is supported, and an empty list is not valid (RFC 7515, 4.1.11). A JWT's payload is
        // always base64url (RFC 7797, 7).
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(TokenRefusal::Crit);
        }
        let text = |name| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(TokenRefusal::Malformed),
        };
        // Nested tokens are not supported (RFC 7519, 5.2).
        if text("cty")?.is_some_and(|content| media_type(&content) == "jwt") {
            return Err(TokenRefusal::Type);
        }
        let algorithm = text("alg")?.and_then(|name| name.parse().ok());
        Ok(Self {
            algorithm: algorithm.ok_or(TokenRefusal::Algorithm)?,
            key_id: text("kid")?,
            media_type: text("typ")?.map(|name| media_type(&name)),
        })
    }
}

/// A media type in the short form: lower case, without `application/` where no other slash follows (RFC 7515, 4.1.9).
pub(super) fn media_type(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("application/") {
        Some(rest) if !rest.contains('/') => rest.to_owned(),
        _ => name,
    }
}

/// Header and claims of anything that has the form of a token.
pub(super) fn members_of(token: &str) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let mut parts = token.splitn(3, '.');
    let header = members(parts.next()?)?;
    Some((header, members(parts.next()?)?))
}

/// The JSON object in a part of a token. `None` if a name is repeated: the issuer and the service might read different
/// values (RFC 8725, 2.4).
fn members(part: &str) -> Option<Map<String, Value>> {
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    let JsonMembers(members) = serde_json::from_slice(&json).ok()?;
    let count = members.len();
    let members: Map<_, _> = members.into_iter().collect();
    (members.len() == count).then_some(members)
}
