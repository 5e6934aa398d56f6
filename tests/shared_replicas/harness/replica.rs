//! One replica, with its own runtime, so that it can end like a process that is killed.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use engage_bff::{
    app::App,
    clock::Clock,
    config::Config,
    shared_tier::{
        SharedTier,
        redis::{
            RedisBackend,
            link::{Link, LinkConfig, Server, ServerAddress, User},
        },
    },
};
use engage_simulator::Simulator;
use reqwest::{Client, RequestBuilder, header::HeaderMap};
use serde_json::Value;
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{Counted, PREFIX, proxy::Proxy, until};

/// The key of the client with every scope and every identifier kind.
pub(crate) const TILL: &str = "test-till-key";

/// A replica.
pub(crate) struct Replica {
    pub(crate) address: SocketAddr,
    operations: SocketAddr,
    pub(crate) shared: SharedTier,
    pub(crate) backend: Arc<Counted<RedisBackend>>,
    /// Its proxy to the server.
    pub(crate) way: Proxy,
    client: Client,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), io::Error>>,
    runtime: Option<Runtime>,
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Replica {
    /// Starts one whose server is at this port of this machine.
    pub(crate) async fn start(config: Config, server: u16) -> Self {
        let way = Proxy::to(server).await;
        let link = Link::new(LinkConfig {
            server: Server::At(ServerAddress {
                host: "127.0.0.1".to_owned(),
                port: way.port,
            }),
            tls: None,
            user: User {
                name: None,
                password: config.redis.password.clone(),
            },
            database: 0,
        });
        let backend = Arc::new(Counted::new(RedisBackend::new(link, PREFIX.to_owned())));
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (of_app, shutdown) = (Arc::clone(&backend), CancellationToken::new());
        let building = runtime.spawn(async move {
            App::build_with_backend(&config, Clock::system(), Some(of_app)).await
        });
        let app = building
            .await
            .expect("no panic")
            .expect("the service starts");
        Self {
            address: app.local_addr(),
            operations: app.operations_addr(),
            shared: app.shared_tier().expect("there is one"),
            backend,
            way,
            client: Client::builder().no_proxy().build().expect("a client"),
            running: runtime.spawn(app.run(shutdown.clone())),
            shutdown,
            runtime: Some(runtime),
        }
    }

    /// Waits until it uses the shared tier.
    pub(crate) async fn until_available(&self) {
        until(async || self.shared.is_available()).await;
    }

    /// Waits until it does not use the shared tier.
    pub(crate) async fn until_unavailable(&self) {
        until(async || !self.shared.is_available()).await;
    }

    /// The client that sends requests to it.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The processor time of its runtime.
    pub(crate) async fn processor_time(&self) -> Duration {
        let runtime = self.runtime.as_ref().expect("it runs");
        // The runtime has one thread.
        let reading = runtime.spawn(async {
            let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
            let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
            Duration::from_nanos(nanos.expect("a number"))
        });
        reading.await.expect("no panic")
    }

    /// A `GET /customer` request.
    pub(crate) fn request(&self, query: &str) -> RequestBuilder {
        self.client
            .get(format!("http://{}/customer?{query}", self.address))
            .header("x-api-key", TILL)
    }

    /// Sends `GET /customer`.
    pub(crate) async fn get(&self, query: &str) -> Answer {
        Answer::of(self.request(query)).await
    }

    /// Sends `GET /customer` in a task of its own.
    pub(crate) fn spawn_get(&self, query: &str) -> JoinHandle<Answer> {
        tokio::spawn(Answer::of(self.request(query)))
    }

    /// Sends `GET /customer` by contact id.
    pub(crate) async fn of(&self, id: &str) -> Answer {
        self.get(&format!("contactId={id}")).await
    }

    /// Delivers a webhook, and returns the status.
    pub(crate) async fn deliver(&self, (headers, body): (HeaderMap, String)) -> u16 {
        let url = format!("http://{}/webhooks/engage", self.address);
        let request = self.client.post(url).headers(headers).body(body);
        Answer::of(request).await.status
    }

    /// Delivers a new webhook about a contact, and returns the status.
    pub(crate) async fn webhook(&self, engage: &Simulator, event: &str, contact: &str) -> u16 {
        self.deliver(engage.webhook(event, contact)).await
    }

    /// Purges a contact.
    pub(crate) async fn purge(&self, id: &str) -> u16 {
        let url = format!("http://{}/cache/contacts/{id}", self.operations);
        Answer::of(self.client.delete(url)).await.status
    }

    /// Reports the change in the body. Returns the status.
    pub(crate) async fn report(&self, body: &Value) -> u16 {
        let url = format!("http://{}/customer/changed", self.address);
        let request = self.client.post(url).body(body.to_string());
        let request = request.header("content-type", "application/json");
        Answer::of(request.header("x-api-key", TILL)).await.status
    }

    /// Purges the target in the body. Returns the status.
    pub(crate) async fn purge_by(&self, body: &Value) -> u16 {
        let url = format!("http://{}/cache/purge", self.operations);
        let request = self.client.post(url).body(body.to_string());
        let request = request.header("content-type", "application/json");
        Answer::of(request).await.status
    }

    /// Ends it as SIGTERM does.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        let ended = (&mut self.running)
            .await
            .expect("the service does not panic");
        ended.expect("requests in flight end");
    }

    /// Ends it like SIGKILL: nothing is finished and no lease is given up.
    pub(crate) fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        Self::try_of(request).await.expect("an answer")
    }

    pub(crate) async fn try_of(request: RequestBuilder) -> Result<Self, reqwest::Error> {
        let response = request.timeout(Duration::from_secs(60)).send().await?;
        Ok(Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?.to_vec(),
        })
    }

    /// The value at a JSON pointer, such as `/points/balance`.
    #[track_caller]
    pub(crate) fn at(&self, pointer: &str) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        let json: Value = serde_json::from_slice(&self.body).expect("JSON");
        let value = json.pointer(pointer);
        value
            .unwrap_or_else(|| panic!("no {pointer} in {text}"))
            .clone()
    }

    #[track_caller]
    pub(crate) fn assert_ok(&self) -> &Self {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// `Cache-Status`.
    pub(crate) fn cache_status(&self) -> &str {
        let value = self.headers.get("cache-status");
        value.map_or("", |value| value.to_str().expect("readable"))
    }
}
