//! The public keys of a token issuer (RFC 7517), and which tokens each may verify.

use anyhow::ensure;
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk},
};
use serde_json::Value;

use super::files::without_byte_order_mark;

/// A key that verifies tokens.
pub(crate) struct Key {
    pub(crate) id: Option<String>,
    algorithm: Option<String>,
    /// The algorithm that the key's curve implies; `None` for RSA keys.
    of_curve: Option<Algorithm>,
    family: AlgorithmFamily,
    pub(crate) verifier: DecodingKey,
}

impl Key {
    /// Parses a JWK. `None` if it can't verify signatures: symmetric keys, keys for encryption or for signing alone,
    /// unknown types and curves.
    fn of(jwk: &Value) -> Option<Self> {
        if !is_for_signatures(jwk) {
            return None;
        }
        let jwk: Jwk = serde_json::from_value(jwk.clone()).ok()?;
        let of_curve = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => None,
            AlgorithmParameters::EllipticCurve(key) => Some(match key.curve {
                EllipticCurve::P256 => Algorithm::ES256,
                EllipticCurve::P384 => Algorithm::ES384,
                _ => return None,
            }),
            AlgorithmParameters::OctetKeyPair(key) => match key.curve {
                EllipticCurve::Ed25519 => Some(Algorithm::EdDSA),
                _ => return None,
            },
            // Symmetric keys and unknown types.
            _ => return None,
        };
        let verifier = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self {
            id: jwk.common.key_id,
            algorithm: jwk
                .common
                .key_algorithm
                .map(|algorithm| algorithm.to_string()),
            of_curve,
            family: verifier.family(),
            verifier,
        })
    }

    /// Whether the key may verify tokens of that algorithm, by its type, its curve (RFC 7518, 3.4; RFC 8037, 3.1) and
    /// its `alg`.
    pub(crate) fn suits(&self, algorithm: Algorithm) -> bool {
        let named = format!("{algorithm:?}");
        self.family == algorithm.family()
            && self.of_curve.is_none_or(|own| own == algorithm)
            && self.algorithm.as_ref().is_none_or(|own| *own == named)
    }
}

/// Whether the key may verify signatures (RFC 7517, 4.2 and 4.3). A restriction that can't be parsed forbids it.
fn is_for_signatures(jwk: &Value) -> bool {
    let is_by_use = jwk.get("use").is_none_or(|used| used == "sig");
    let is_by_operations = jwk.get("key_ops").is_none_or(|operations| {
        let operations = operations.as_array();
        operations.is_some_and(|all| all.iter().any(|one| one == "verify"))
    });
    let has_readable_algorithm = jwk.get("alg").is_none_or(Value::is_string);
    is_by_use && is_by_operations && has_readable_algorithm
}

/// Checks that a JWK set has a key for one of the algorithms. The error says what is wrong with the set.
pub(crate) fn check_key_set(set: &[u8], algorithms: &[Algorithm]) -> Result<(), String> {
    let keys = keys_of(set).map_err(|error| error.to_string())?;
    let suits = |key: &Key| algorithms.iter().any(|algorithm| key.suits(*algorithm));
    if algorithms.is_empty() || keys.iter().any(suits) {
        Ok(())
    } else {
        Err("contains no key for auth.jwt.algorithms".to_owned())
    }
}

/// The keys of a JWK set that can verify tokens. Fails if there is none. The text may begin with a byte order mark.
pub(crate) fn keys_of(set: &[u8]) -> Result<Vec<Key>, anyhow::Error> {
    #[derive(serde::Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }

    let set = without_byte_order_mark(set);
    // serde's message would quote the text.
    let set: Set = serde_json::from_slice(set).map_err(|_| anyhow::anyhow!("is not a JWK set"))?;
    let keys: Vec<_> = set.keys.iter().filter_map(Key::of).collect();
    ensure!(!keys.is_empty(), "contains no key that can verify a token");
    Ok(keys)
}
