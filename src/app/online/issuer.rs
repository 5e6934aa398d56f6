//! Whether the keys of the token issuer can be read, and fit `auth.jwt.algorithms`.

use std::time::Duration;

use anyhow::Context;
use jsonwebtoken::Algorithm;

use super::{
    clocks,
    endpoint::{Endpoint, KEYS_AND_DATA},
    reach,
    report::{Check, first_failed},
    tls,
};
use crate::{
    clock::Clock,
    config::{
        JwtConfig,
        jwk::{Key, keys_of},
    },
    http::read_published_keys,
};

const NAMES: [&str; 3] = ["issuer-name", "issuer-connection", "issuer-tls"];
const KEYS: &str = "issuer-keys";
const CLOCK: &str = "issuer-clock";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The most keys that a result names.
const MAX_NAMED: usize = 6;
/// The most characters of a key's id that are printed.
const MAX_ID: usize = 40;

/// All checks of the issuer.
pub(super) async fn check(
    jwt: Option<&JwtConfig>,
    clock: &Clock,
) -> Result<Vec<Check>, anyhow::Error> {
    let all = [NAMES[0], NAMES[1], NAMES[2], KEYS, CLOCK];
    let Some(jwt) = jwt else {
        let skip = |name| Check::skipped(name, "auth.jwt is not configured");
        return Ok(all.map(skip).to_vec());
    };
    let Some(url) = &jwt.jwks_url else {
        let skip = |name| Check::skipped(name, "the keys are in auth.jwt.jwks_file");
        let mut checks = NAMES.map(skip).to_vec();
        checks.push(keys(jwt, clock).await.0);
        checks.push(skip(CLOCK));
        return Ok(checks);
    };
    let url = reqwest::Url::parse(url).context("auth.jwt.jwks_url")?;
    let endpoint = Endpoint {
        names: NAMES,
        key: "auth.jwt.jwks_url",
        url: &url,
        roots: tls::trusted(None)?,
        authority_remedy: "the issuer needs a certificate of a public authority; or copy its keys, and give \
                           auth.jwt.jwks_file",
        connect_timeout: CONNECT_TIMEOUT,
        exposes: Some(KEYS_AND_DATA),
    };
    let mut checks = reach::check(&endpoint, clock).await;
    if let Some(cause) = first_failed(&checks) {
        checks.extend([KEYS, CLOCK].map(|name| Check::skipped_after(name, cause)));
        return Ok(checks);
    }
    let (keys, clock) = keys(jwt, clock).await;
    checks.extend([keys, clock]);
    Ok(checks)
}

/// The checks of the keys and of the issuer's clock.
async fn keys(jwt: &JwtConfig, clock: &Clock) -> (Check, Check) {
    let published = match read_published_keys(jwt, clock).await {
        Ok(published) => published,
        Err(error) => {
            let failed = Check::failed(
                KEYS,
                format!("the JWK set can't be read: {error}"),
                "see whether auth.jwt.jwks_url is what the issuer publishes as jwks_uri",
            );
            return (failed, Check::skipped_after(CLOCK, KEYS));
        }
    };
    let keys = match keys_of(&published.set) {
        Ok(keys) => judge(&keys, jwt),
        Err(error) => Check::failed(
            KEYS,
            format!("what is read {error}"),
            "give the address of the issuer's JWK set (RFC 7517), with public keys",
        ),
    };
    let difference = published.clock_difference;
    let consequence = "tokens are refused as expired or not yet valid";
    (
        keys,
        clocks::check(CLOCK, difference, jwt.leeway, consequence),
    )
}

fn judge(keys: &[Key], jwt: &JwtConfig) -> Check {
    let algorithms: Vec<Algorithm> = jwt.algorithms.iter().map(|name| (*name).into()).collect();
    let suits_any = |key: &&Key| algorithms.iter().any(|algorithm| key.suits(*algorithm));
    let usable: Vec<_> = keys.iter().filter(suits_any).collect();
    let lacks_key = |algorithm: &&Algorithm| !usable.iter().any(|key| key.suits(**algorithm));
    let unused: Vec<_> = algorithms.iter().filter(lacks_key).collect();
    let what = format!(
        "{} for auth.jwt.algorithms: {}",
        count(usable.len()),
        named(&usable)
    );
    if usable.is_empty() {
        return Check::failed(
            KEYS,
            format!("{}, none for auth.jwt.algorithms", count(keys.len())),
            "list in auth.jwt.algorithms what the issuer signs with",
        );
    }
    if usable.len() < keys.len() {
        return Check::warning(
            KEYS,
            format!(
                "{what}; {} for other algorithms, whose tokens are refused",
                keys.len() - usable.len()
            ),
            "add the algorithm to auth.jwt.algorithms, if the issuer signs shoppers' tokens with it",
        );
    }
    if !unused.is_empty() {
        let unused: Vec<_> = unused.iter().map(|one| format!("{one:?}")).collect();
        return Check::warning(
            KEYS,
            format!("{what}; none for {}", unused.join(", ")),
            "remove from auth.jwt.algorithms what the issuer does not sign with",
        );
    }
    Check::ok(KEYS, what)
}

fn count(keys: usize) -> String {
    match keys {
        1 => "1 key".to_owned(),
        keys => format!("{keys} keys"),
    }
}

/// The ids of the keys, as far as they can be printed.
fn named(keys: &[&Key]) -> String {
    let id = |key: &&Key| match &key.id {
        None => "one without kid".to_owned(),
        Some(id) => {
            let printable = id.chars().filter(char::is_ascii_graphic);
            format!("kid {}", printable.take(MAX_ID).collect::<String>())
        }
    };
    let mut ids: Vec<_> = keys.iter().take(MAX_NAMED).map(id).collect();
    if keys.len() > MAX_NAMED {
        ids.push("…".to_owned());
    }
    ids.join(", ")
}
