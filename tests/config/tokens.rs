//! Refused settings of the issuer of shoppers' tokens.

use crate::{MINIMAL, refusal};

#[test]
fn token_issuer_with_weak_settings_is_refused() {
    const JWT: &str = "[auth.jwt]\nissuer = \"https://login.example.com/\"\naudience = \"bff\"\n\
        algorithms = [\"ES256\"]\njwks_url = \"https://login.example.com/jwks\"\n\
        contact_id_claim = \"contactId\"\n";
    for (from, to, expected) in [
        (
            "https://login.example.com/\"\naud",
            "\"\naud",
            "auth.jwt.issuer: is empty",
        ),
        (
            "audience = \"bff\"",
            "audience = \"\"",
            "auth.jwt.audience: is empty",
        ),
        ("[\"ES256\"]", "[]", "auth.jwt.algorithms: is empty"),
        ("[\"ES256\"]", "[\"HS256\"]", "auth.jwt.algorithms"),
        ("[\"ES256\"]", "[\"none\"]", "auth.jwt.algorithms"),
        (
            "https://login.example.com/jwks",
            "http://login.example.com/jwks",
            "auth.jwt.jwks_url: is not",
        ),
        (
            "https://login.example.com/jwks",
            "login",
            "auth.jwt.jwks_url: is not",
        ),
        (
            "jwks_url",
            "jwks_file = \"x\"\njwks_url",
            "auth.jwt.jwks_url: is set together with auth.jwt.jwks_file",
        ),
        (
            "jwks_url = \"https://login.example.com/jwks\"",
            "",
            "auth.jwt.jwks_url: is missing",
        ),
        (
            "contact_id_claim = \"contactId\"",
            "",
            "auth.jwt.contact_id_claim: is missing",
        ),
        (
            "audience",
            "leeway = \"61s\"\naudience",
            "auth.jwt.leeway: is longer",
        ),
        (
            "audience",
            "types = []\naudience",
            "auth.jwt.types: is empty",
        ),
        (
            "audience",
            "types = [\"JWT\", \"\"]\naudience",
            "auth.jwt.types[1]: is empty",
        ),
        (
            "audience",
            "types = [\"at jwt\"]\naudience",
            "auth.jwt.types: is empty",
        ),
        (
            "audience",
            "max_lifetime = \"0s\"\naudience",
            "auth.jwt.max_lifetime: is less than \"1ms\"",
        ),
        (
            "audience",
            "requests_per_second = 0\naudience",
            "auth.jwt.requests_per_second: is zero",
        ),
        ("audience", "secret = \"x\"\naudience", "unknown key"),
    ] {
        assert!(JWT.contains(from), "{from}");
        let file = format!("{MINIMAL}{}", JWT.replacen(from, to, 1));
        let error = refusal(&file, &[]);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}
