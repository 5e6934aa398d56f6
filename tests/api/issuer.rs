//! A token issuer with its own key.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair,
    },
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

pub(crate) const ISSUER: &str = "https://login.example.com/";
pub(crate) const AUDIENCE: &str = "engage-bff";

pub(crate) struct Issuer {
    key: EncodingKey,
    algorithm: Algorithm,
    id: String,
    jwks_file: PathBuf,
}

impl Issuer {
    /// An issuer with a new key, whose public half is published in a file.
    pub(crate) fn new() -> Self {
        let name = format!("engage-bff-test-{}.jwks", uuid::Uuid::new_v4());
        let issuer = Self::with("one", std::env::temp_dir().join(name));
        issuer.publish();
        issuer
    }

    fn with(id: &str, jwks_file: PathBuf) -> Self {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        Self {
            key: EncodingKey::from_ec_der(pair.expect("a key").as_ref()),
            algorithm: Algorithm::ES256,
            id: id.to_owned(),
            jwks_file,
        }
    }

    /// The same issuer with an unpublished key for another algorithm.
    pub(crate) fn with_key_for(&self, algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let key = match algorithm {
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::generate_pkcs8v1(&random).expect("a key");
                EncodingKey::from_ed_der(pair.as_ref())
            }
            Algorithm::ES384 => {
                let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random);
                EncodingKey::from_ec_der(pair.expect("a key").as_ref())
            }
            _ => unreachable!("no test needs {algorithm:?}"),
        };
        Self {
            key,
            algorithm,
            id: "other".to_owned(),
            jwks_file: self.jwks_file.clone(),
        }
    }

    /// The same issuer after publishing another key instead.
    pub(crate) fn rotate(&self) -> Self {
        self.rotate_to("two")
    }

    /// Like `rotate`, with this key id.
    pub(crate) fn rotate_to(&self, id: &str) -> Self {
        let rotated = self.with_id(id);
        rotated.publish();
        rotated
    }

    /// The same issuer with an unpublished key of this id.
    pub(crate) fn with_id(&self, id: &str) -> Self {
        Self::with(id, self.jwks_file.clone())
    }

    fn publish(&self) {
        fs::write(&self.jwks_file, self.jwks()).expect("a temporary file");
    }

    /// Publishes the keys of all these issuers in this one's file.
    pub(crate) fn publish_with(&self, issuers: &[&Self]) {
        let keys: Vec<Value> = issuers
            .iter()
            .flat_map(|issuer| {
                let set: Value = serde_json::from_str(&issuer.jwks()).expect("JSON");
                set["keys"].as_array().expect("a list").clone()
            })
            .collect();
        let set = json!({"keys": keys}).to_string();
        fs::write(&self.jwks_file, set).expect("a temporary file");
    }

    /// The public key as published.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).expect("a public key");
        jwk.common.key_id = Some(self.id.clone());
        serde_json::to_value(jwk).expect("JSON")
    }

    /// Publishes exactly these keys.
    pub(crate) fn publish_keys(&self, keys: &[Value]) {
        let set = json!({"keys": keys}).to_string();
        fs::write(&self.jwks_file, set).expect("a temporary file");
    }

    /// A token with exactly this header and these claims.
    pub(crate) fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", Self::encoded(header), Self::encoded(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm);
        format!("{message}.{}", signature.expect("a signature"))
    }

    /// Replaces the file by an empty key set.
    pub(crate) fn break_jwks(&self) {
        fs::write(&self.jwks_file, "{\"keys\": []}").expect("a temporary file");
    }

    pub(crate) fn jwks_file(&self) -> PathBuf {
        self.jwks_file.clone()
    }

    fn jwks(&self) -> String {
        let jwk = self.jwk();
        let unknown = json!({"kty": "AKP", "kid": self.id, "alg": "ML-DSA-44", "pub": "AA"});
        let symmetric = json!({"kty": "oct", "kid": "shared", "k": "c2VjcmV0"});
        json!({"keys": [unknown, symmetric, jwk]}).to_string()
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(claims, |_| {})
    }

    /// A token with a changed header.
    pub(crate) fn sign_with(&self, claims: &Value, change: impl FnOnce(&mut Header)) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.clone());
        change(&mut header);
        jsonwebtoken::encode(&header, claims, &self.key).expect("a token")
    }

    /// A token for an algorithm confusion attack: signed by HMAC with the text of the published key set as the secret.
    pub(crate) fn sign_with_public_key_as_secret(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(self.id.clone());
        let key = EncodingKey::from_secret(self.jwks().as_bytes());
        jsonwebtoken::encode(&header, claims, &key).expect("a token")
    }

    /// JSON encoded as a part of a token.
    pub(crate) fn header(value: &Value) -> String {
        Self::encoded(&value.to_string())
    }

    fn encoded(json: &str) -> String {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = String::new();
        for bytes in json.as_bytes().chunks(3) {
            let bits = bytes
                .iter()
                .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
            let bits = bits << (8 * (3 - bytes.len()));
            for digit in 0..=bytes.len() {
                let index = bits >> (18 - 6 * digit) & 63;
                text.push(char::from(DIGITS[index as usize]));
            }
        }
        text
    }

    /// Publishes the key over HTTP.
    pub(crate) async fn serve(&self) -> JwksServer {
        self.serve_as(JwksAnswer::Keys(self.jwks())).await
    }

    /// A server that gives this answer until it is changed.
    pub(crate) async fn serve_as(&self, answer: JwksAnswer) -> JwksServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = JwksServer {
            url: format!("http://{}/jwks", listener.local_addr().expect("an address")),
            requests: Arc::default(),
            answer: Arc::new(Mutex::new(answer)),
            head: Arc::default(),
        };
        let (counted, answer) = (Arc::clone(&server.requests), Arc::clone(&server.answer));
        let heads = Arc::clone(&server.head);
        tokio::spawn(async move {
            let mut hanging = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let mut head = [0; 4096];
                let length = stream.read(&mut head).await.unwrap_or_default();
                *heads.lock().expect("no test panicked with it") =
                    String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
                let answer = answer.lock().expect("no test panicked with it").clone();
                let (status, body) = match answer {
                    JwksAnswer::Keys(set) => ("200 OK", set),
                    JwksAnswer::Failure => ("503 Service Unavailable", String::new()),
                    JwksAnswer::Silence => {
                        hanging.push(stream);
                        continue;
                    }
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                     connection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        server
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.jwks_file);
    }
}

/// How the JWKS server answers.
#[derive(Clone)]
pub(crate) enum JwksAnswer {
    Keys(String),
    Failure,
    /// Accepts the request and never answers.
    Silence,
}

/// The issuer's keys over HTTP.
pub(crate) struct JwksServer {
    url: String,
    requests: Arc<AtomicUsize>,
    answer: Arc<Mutex<JwksAnswer>>,
    head: Arc<Mutex<String>>,
}

impl JwksServer {
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Changes the answer.
    pub(crate) fn answer(&self, answer: JwksAnswer) {
        *self.answer.lock().expect("no test panicked with it") = answer;
    }

    /// Publishes this issuer's keys from now on.
    pub(crate) fn publish(&self, issuer: &Issuer) {
        self.answer(JwksAnswer::Keys(issuer.jwks()));
    }

    /// The head of the last request, in lower case.
    pub(crate) fn head(&self) -> String {
        self.head.lock().expect("no test panicked with it").clone()
    }

    /// The number of requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}
