//! The shop's token issuer: a key that is made at the start, and tokens that last for ten minutes.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use engage_bff::clock::Clock;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData};
use serde::Serialize;
use serde_json::json;

/// The issuer in the tokens.
pub(crate) const ISSUER: &str = "https://login.shop.example.com";
/// The audience in the tokens: the service.
pub(crate) const AUDIENCE: &str = "engage-bff";
const KEY_ID: &str = "demo";
/// How long a token is valid, in seconds.
const LIFETIME: i64 = 600;

/// Signs tokens; cheap to clone.
#[derive(Clone)]
pub(crate) struct Issuer(Arc<Keys>);

struct Keys {
    signing: EncodingKey,
    published: serde_json::Value,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    contact_id: &'a str,
    scope: &'a str,
}

impl Issuer {
    /// Makes a key.
    pub(crate) fn new() -> Result<Self, anyhow::Error> {
        let pair = KeyPair::generate()?;
        // A point of P-256, uncompressed: 4, x, y (RFC 5480, 2.2).
        let (x, y) = pair.der_bytes()[1..].split_at(32);
        let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
        Ok(Self(Arc::new(Keys {
            signing: EncodingKey::from_ec_der(pair.serialized_der()),
            published: json!({ "keys": [
                { "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KEY_ID, "x": x, "y": y }
            ] }),
        })))
    }

    /// The public key, as a JWKS.
    pub(crate) fn published(&self) -> String {
        self.0.published.to_string()
    }

    /// A token of the shopper with that contact id.
    pub(super) fn token(&self, contact_id: &str) -> jsonwebtoken::errors::Result<String> {
        let now = Clock::system().now().wall.as_second();
        let claims = Claims {
            iss: ISSUER,
            aud: AUDIENCE,
            iat: now,
            exp: now + LIFETIME,
            contact_id,
            scope: "customer:read:self customer:changed",
        };
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(KEY_ID.to_owned());
        jsonwebtoken::encode(&header, &claims, &self.0.signing)
    }
}
