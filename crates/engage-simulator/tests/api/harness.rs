//! A simulator, a well-behaved client, and responses with assertions.

use engage_simulator::{Simulator, SimulatorBuilder, SimulatorClock};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

pub(crate) const NOW: &str = "2026-11-23T12:00:00Z";

/// A simulator with a manual clock, and a client.
pub(crate) struct Engage {
    pub(crate) simulator: Simulator,
    pub(crate) client: Client,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: String,
}

impl Engage {
    pub(crate) async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(change: impl FnOnce(SimulatorBuilder) -> SimulatorBuilder) -> Self {
        let clock = SimulatorClock::manual(NOW.parse().expect("a timestamp"));
        let builder = Simulator::builder().seed(7).contacts(20).clock(clock);
        Self {
            simulator: change(builder).start().await.expect("a free port"),
            client: client(),
        }
    }

    /// A request of a well-behaved integration.
    pub(crate) fn request(&self, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        self.client
            .get(format!("{}{path}", self.simulator.base_url()))
            .query(query)
            .header("apikey", self.simulator.api_key())
            .header("user-agent", "simulator-tests/1.0")
            .header("accept", "application/json")
            .header("content-type", "application/json")
    }

    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        send(self.request(path, query)).await.expect("an answer")
    }

    /// The overview in v3.
    pub(crate) async fn overview(&self, query: &[(&str, &str)]) -> Answer {
        self.get("/api/v3/contactoverview", query).await
    }

    /// The overview in v3, by id.
    pub(crate) async fn overview_of(&self, id: &str) -> Answer {
        self.overview(&[("contactId", id)]).await
    }

    /// Calls the control API.
    pub(crate) async fn control(&self, method: &str, path: &str, body: &str) -> Answer {
        let method = method.parse().expect("an HTTP method");
        let url = format!("{}/control{path}", self.simulator.base_url());
        let request = self.client.request(method, url).body(body.to_owned());
        send(request).await.expect("an answer")
    }
}

pub(crate) fn client() -> Client {
    Client::builder()
        .no_proxy()
        .build()
        .expect("a plain client can be built")
}

pub(crate) async fn send(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        Some(value.to_str().expect("a header of text").to_owned())
    };
    Ok(Answer {
        status: response.status().as_u16(),
        content_type: header("content-type").unwrap_or_default(),
        retry_after: header("retry-after"),
        body: response.text().await?,
    })
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    #[track_caller]
    pub(crate) fn refuses_with(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.json()["errorCode"], code);
        assert!(self.json()["requestId"].is_string(), "{self:?}");
    }
}
