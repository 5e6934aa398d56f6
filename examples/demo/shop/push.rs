//! Engage's webhooks on their way to the service, and open pages that wait for them.

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::{Request, State},
    http::Uri,
    response::{
        Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{Stream, stream};
use tokio::sync::watch;

use super::relay::Relay;

/// How many changes there were; open pages wait for the next.
#[derive(Clone)]
pub(super) struct Push(watch::Sender<Option<u64>>);

impl Default for Push {
    fn default() -> Self {
        Self(watch::Sender::new(Some(0)))
    }
}

impl Push {
    /// Ends the streams of all pages.
    pub(super) fn end(&self) {
        self.0.send_replace(None);
    }

    fn changed(&self) {
        self.0
            .send_modify(|changes| *changes = changes.map(|count| count + 1));
    }
}

/// Where webhooks go.
#[derive(Clone)]
pub(super) struct Webhooks {
    relay: Relay,
    url: Uri,
    push: Push,
}

impl Webhooks {
    pub(super) fn new(bff: &str, push: Push) -> Self {
        let url = format!("{bff}/webhooks/engage");
        Self {
            relay: Relay::new(String::new()),
            url: url.parse().expect("an address and a path"),
            push,
        }
    }
}

/// Passes a webhook on as it is, since it is signed, and lets the pages know once the service has applied it. The event
/// for the pages contains neither the change nor the customer: pages read their own customer again, which costs a 304
/// if nothing has changed.
pub(super) async fn deliver(
    State(webhooks): State<Webhooks>,
    mut request: Request<Body>,
) -> Response {
    *request.uri_mut() = webhooks.url.clone();
    let response = webhooks.relay.send(request).await;
    if response.status().is_success() {
        webhooks.push.changed();
    }
    response
}

/// An event for each change, for `EventSource`.
pub(super) async fn events(
    State(push): State<Push>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = push.0.subscribe();
    let changes = stream::unfold(changes, |mut changes| async {
        changes.changed().await.ok()?;
        let count = (*changes.borrow_and_update())?;
        Some((Ok(Event::default().data(count.to_string())), changes))
    });
    Sse::new(changes).keep_alive(KeepAlive::default())
}
