//! Reloads of the settings of the shared tier: passwords, encryption keys, client certificates, and the API key whose
//! call budget is shared. Replicas keep the shared data.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use engage_bff::{
    app::{App, Reloader},
    clock::Clock,
    config::{Config, Mistakes},
    shared_tier::SharedTier,
};
use engage_simulator::{Simulator, fixtures::ALVA};
use reqwest::Client;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    certificates::{Authority, Identity},
    harness::{self, TILL, until},
    redis_server::{RedisServer, free_port},
};

const FIRST_KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const SECOND_KEY: &str = "YW5vdGhlciBrZXkgb2YgMzIgYnl0ZXMgZm9yIHRlc3Q=";

/// A replica that connects by its configuration, and can reload it.
struct Replica {
    address: SocketAddr,
    shared: SharedTier,
    config: Arc<Mutex<Config>>,
    reloader: Reloader,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), io::Error>>,
}

impl Replica {
    async fn start(config: Config) -> Self {
        let app = App::build(&config, Clock::system()).await;
        let app = app.expect("the service starts");
        let (reloader, shutdown) = (app.reloader(), CancellationToken::new());
        let source = Arc::new(Mutex::new(config.clone()));
        let read = {
            let source = Arc::clone(&source);
            move || {
                let config = source
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                config.validate().map(|()| config)
            }
        };
        reloader.read_by(config, None, read).await;
        let replica = Self {
            address: app.local_addr(),
            shared: app.shared_tier().expect("there is one"),
            config: source,
            reloader,
            running: tokio::spawn(app.run(shutdown.clone())),
            shutdown,
        };
        replica.until_available().await;
        replica
    }

    async fn until_available(&self) {
        until(async || self.shared.is_available()).await;
    }

    /// Reloads a change, and waits until the tier is used again. Returns the keys that changed.
    async fn reload(&self, change: impl FnOnce(&mut Config)) -> Result<Vec<String>, Mistakes> {
        change(&mut self.config.lock().unwrap_or_else(PoisonError::into_inner));
        let reloaded = self.reloader.reload().await?;
        assert_eq!(reloaded.needs_restart, [""; 0]);
        self.until_available().await;
        Ok(reloaded.changed)
    }

    async fn status(&self, contact: &str) -> u16 {
        let url = format!("http://{}/customer?contactId={contact}", self.address);
        let client = Client::builder().no_proxy().build().expect("a client");
        let request = client.get(url).header("x-api-key", TILL);
        request.send().await.expect("an answer").status().as_u16()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.expect("no panic").expect("a clean end");
    }
}

/// A configuration with this simulator and this server, as the user `bff`.
fn config(engage: &Simulator, redis: &RedisServer) -> Config {
    let mut config = harness::config();
    config.engage.base_url = engage.base_url();
    config.redis.url = Some(redis.url().into());
    config.redis.username = Some("bff".to_owned());
    config.redis.password = Some("the first password".into());
    config
}

async fn engage() -> Simulator {
    let builder = Simulator::builder().seed(7).contacts(20);
    let started = builder.api_key("test-engage-key").rate_limit(None).start();
    started.await.expect("the simulator starts")
}

/// A server with a user `bff` whose password is `the first password`.
fn server() -> RedisServer {
    let redis = RedisServer::start();
    redis.command(&[
        "ACL",
        "SETUSER",
        "bff",
        "on",
        ">the first password",
        "~*",
        "&*",
        "+@all",
    ]);
    redis
}

#[tokio::test(flavor = "multi_thread")]
async fn password_is_rotated_and_a_wrong_one_changes_nothing() {
    let (engage, redis) = (engage().await, server());
    let one = Replica::start(config(&engage, &redis)).await;
    let two = Replica::start(config(&engage, &redis)).await;
    assert_eq!(one.status(ALVA.id).await, 200);
    let calls = engage.total_calls();
    let refused = one.reload(|config| config.redis.password = Some("a wrong password".into()));
    let refused = refused.await.expect_err("a refusal").to_string();
    assert!(refused.starts_with("redis: "), "{refused}");
    assert!(one.shared.is_available());
    redis.command(&["ACL", "SETUSER", "bff", ">the second password"]);
    for replica in [&one, &two] {
        let changed =
            replica.reload(|config| config.redis.password = Some("the second password".into()));
        assert_eq!(changed.await.expect("a reload"), ["redis.password"]);
    }
    redis.command(&["ACL", "SETUSER", "bff", "<the first password"]);
    redis.command(&["CLIENT", "KILL", "USER", "bff"]);
    for replica in [&one, &two] {
        replica.until_available().await;
        assert_eq!(replica.status(ALVA.id).await, 200);
    }
    // One replica has it in memory, and the other found it in the tier.
    assert_eq!(engage.total_calls(), calls);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_keys_are_rotated_and_stored_data_stays_readable() {
    let (engage, redis) = (engage().await, server());
    let one = Replica::start(config(&engage, &redis)).await;
    let two = Replica::start(config(&engage, &redis)).await;
    assert_eq!(one.status(ALVA.id).await, 200);
    let calls = engage.total_calls();
    for keys in [
        vec![FIRST_KEY, SECOND_KEY],
        vec![SECOND_KEY, FIRST_KEY],
        vec![SECOND_KEY],
    ] {
        for replica in [&one, &two] {
            let keys = keys.iter().map(|key| (*key).into()).collect();
            let changed = replica.reload(|config| config.redis.encryption_keys = keys);
            assert_eq!(changed.await.expect("a reload"), ["redis.encryption_keys"]);
        }
    }
    let mut config = config(&engage, &redis);
    config.redis.encryption_keys = vec![SECOND_KEY.into()];
    let third = Replica::start(config).await;
    for replica in [&two, &third] {
        assert_eq!(replica.status(ALVA.id).await, 200);
    }
    assert_eq!(engage.total_calls(), calls);
    for replica in [one, two, third] {
        replica.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn call_budget_is_that_of_the_new_api_key() {
    let (engage, redis) = (engage().await, server());
    let one = Replica::start(config(&engage, &redis)).await;
    let budgets = || {
        let keys = redis.command(&["KEYS", "engage-bff:*:b:*"]);
        let keys: Vec<Vec<u8>> = redis::from_redis_value(keys).expect("keys");
        keys.len()
    };
    assert_eq!(one.status(ALVA.id).await, 200);
    until(async || budgets() == 1).await;
    engage.accept_api_keys(&["another-engage-key"]);
    let changed = one.reload(|config| config.engage.api_key = Some("another-engage-key".into()));
    assert_eq!(changed.await.expect("a reload"), ["engage.api_key"]);
    let other = engage.contact_ids().into_iter().find(|id| id != ALVA.id);
    assert_eq!(one.status(&other.expect("a contact")).await, 200);
    until(async || budgets() == 2).await;
    one.stop().await;
}

/// The files of a client's certificate.
struct IdentityFiles {
    certificate: PathBuf,
    key: PathBuf,
}

impl IdentityFiles {
    fn in_folder(folder: &Path) -> Self {
        Self {
            certificate: folder.join("client.pem"),
            key: folder.join("client.key"),
        }
    }

    fn write(&self, identity: &Identity) {
        fs::write(&self.certificate, &identity.certificate).expect("a file");
        fs::write(&self.key, &identity.key).expect("a file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificate_is_rotated_and_an_unusable_one_changes_nothing() {
    let (first, second) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    };
    let port = free_port().to_string();
    let mut options = vec!["--tls-port".to_owned(), port.clone()];
    options.extend(first.options("127.0.0.1", true));
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let (engage, redis) = (engage().await, RedisServer::start_with(&options));
    let files = IdentityFiles::in_folder(folder.path());
    files.write(&first.issue("engage-bff"));
    let mut config = harness::config();
    config.engage.base_url = engage.base_url();
    config.redis.url = Some(format!("rediss://127.0.0.1:{port}").into());
    config.redis.ca_file = Some(file("authority.pem", first.pem()));
    config.redis.client_certificate_file = Some(files.certificate.clone());
    config.redis.client_key_file = Some(files.key.clone());
    let replica = Replica::start(config).await;
    let ids = engage.contact_ids();
    assert_eq!(replica.status(&ids[2]).await, 200);

    fs::write(&files.key, "no key").expect("a file");
    let refused = replica.reload(|_| {}).await.expect_err("a refusal");
    let refused = refused.to_string();
    assert!(refused.contains("redis.client_key_file: "), "{refused}");
    assert!(replica.shared.is_available());

    // From now on the server accepts only the new certificate for new connections; the existing one stays open.
    let new = file("new.pem", second.pem());
    redis.set("tls-ca-cert-file", new.to_str().expect("text"));
    assert_eq!(replica.status(&ids[0]).await, 200);
    assert!(replica.shared.is_available());
    files.write(&second.issue("engage-bff"));
    assert_eq!(
        replica.reload(|_| {}).await.expect("a reload"),
        ["redis.client_certificate_file", "redis.client_key_file"]
    );
    redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    // Its connections are killed, and it makes new ones.
    let connections = || {
        let list = redis.command(&["CLIENT", "LIST", "TYPE", "normal"]);
        let list: String = redis::from_redis_value(list).expect("text");
        // One of the lines is the connection of this command.
        list.lines().count() - 1
    };
    until(async || connections() > 0).await;
    replica.until_available().await;
    assert_eq!(replica.status(&ids[1]).await, 200);
    replica.stop().await;
}
