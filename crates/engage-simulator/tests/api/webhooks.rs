//! Webhooks of edits, and their signatures.

use std::time::Duration;

use engage_simulator::{DEFAULT_WEBHOOK_SECRET, VoucherSeed, WebhookTarget, fixtures::ALVA, sign};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::harness::Engage;

const ENCRYPTED_PAYLOAD: &str = concat!(
    "AAECAwQFBgcICQoLDA0OD0VyZc3pJqo8mHX505JeZobvBTRJiw1mBJTuoZBACvWa",
    "N5bPG_1i8dXwx_zFO_788JMU0RtDe_MfqMm31OlKKHc="
);

const SECRET: &str = "whsec_oYn8D9SpnpQQHZtlAPhb518LJCuSK89X";

#[track_caller]
fn assert_signed(headers: &HeaderMap, body: &str, secret: &str) {
    let text = |name: &str| headers[name].to_str().expect("text");
    let timestamp = text("svix-timestamp").parse().expect("seconds");
    let expected = sign(secret, text("svix-id"), timestamp, body);
    assert_eq!(Some(text("svix-signature")), expected.as_deref());
}

#[tokio::test]
async fn webhook_can_be_built_without_being_sent() {
    let engage = Engage::start().await;
    let (headers, body) = engage.simulator.webhook("point.balance.updated", ALVA.id);
    assert_signed(&headers, &body, DEFAULT_WEBHOOK_SECRET);
    assert_eq!(headers["svix-timestamp"], "1795435200");
    let event: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(event["eventType"], "point.balance.updated");
    assert_eq!(event["isEncrypted"], false);
    assert_eq!(event["payload"]["balance"], json!(317.5));
    assert_eq!(event["payload"]["accountId"], 123);
    let (_, body) = engage.simulator.webhook("something.new", "no-such-contact");
    assert!(
        body.contains(r#""payload":{"contactId":"no-such-contact"}"#),
        "{body}"
    );
    assert!(engage.simulator.deliveries().is_empty());
}

#[tokio::test]
async fn edits_send_engages_events() {
    let engage = Engage::start().await;
    let (url, mut received) = receiver().await;
    engage.simulator.contact(ALVA.id).points("1");
    engage.simulator.webhooks_to(Some(target(url)));
    engage
        .simulator
        .contact(ALVA.id)
        .points("2.5")
        .attribute("shoeSize", json!(40))
        .preferences(json!({"acceptsEmail": false, "acceptsSms": true}))
        .consents(json!([{"id": "memberTerms", "value": false}]))
        .add_voucher(VoucherSeed::worth("100", "SEK"))
        .add_promotion(json!({"name": "New"}))
        .audiences(json!([]))
        .delete();
    let created = engage
        .simulator
        .create(json!({"email": "n@example.com"}), "Member");
    engage.simulator.webhooks_settled().await;
    let mut events = Vec::new();
    while let Ok((head, body)) = received.try_recv() {
        assert_signed(&headers(&head), &body, SECRET);
        let event: Value = serde_json::from_str(&body).expect("JSON");
        events.push(event);
    }
    let names: Vec<&str> = events
        .iter()
        .filter_map(|event| event["eventType"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "point.balance.updated",
            "loyalty.addPoints",
            "contact.updated",
            "contact.acceptsEmail.changed",
            "contact.consent.changed",
            "reward.voucher.created",
            "promotion.multichannel.assigned",
            "contact.deleted",
            "contact.created",
        ]
    );
    assert_eq!(events[1]["payload"]["amount"], json!(1.5));
    assert_eq!(
        events[3]["payload"],
        json!({"contactId": ALVA.id, "acceptsEmail": false})
    );
    assert_eq!(events[5]["payload"]["ContactId"], ALVA.id);
    assert_eq!(events[8]["payload"]["contactId"], created.as_str());
    let deliveries = engage.simulator.deliveries();
    assert!(
        deliveries
            .iter()
            .all(|delivery| delivery.status == Some(204)),
        "{deliveries:?}"
    );
}

#[tokio::test]
async fn unreachable_receiver_is_recorded() {
    let engage = Engage::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let url = format!("http://{address}/hooks");
    engage.simulator.webhooks_to(Some(target(url)));
    engage.simulator.contact(ALVA.id).email("new@example.com");
    engage.simulator.webhooks_settled().await;
    assert_eq!(engage.simulator.deliveries()[0].status, None);
}

fn target(url: String) -> WebhookTarget {
    WebhookTarget {
        url,
        secret: SECRET.to_owned(),
        encryption_key: None,
    }
}

#[tokio::test]
async fn resent_webhooks_keep_ids_and_get_new_signatures() {
    let engage = Engage::start().await;
    let (url, mut received) = receiver().await;
    engage.simulator.webhooks_to(Some(target(url)));
    engage.simulator.send_webhook("contact.updated", ALVA.id);
    engage.simulator.send_webhook("contact.deleted", ALVA.id);
    engage.simulator.clock().advance(Duration::from_secs(60));
    engage.simulator.resend_webhooks(true);
    engage.simulator.webhooks_settled().await;
    let mut ids = Vec::new();
    let mut times = Vec::new();
    while let Ok((head, body)) = received.try_recv() {
        let headers = headers(&head);
        assert_signed(&headers, &body, SECRET);
        ids.push(headers["svix-id"].clone());
        times.push(headers["svix-timestamp"].clone());
    }
    assert_eq!(ids.len(), 4);
    assert_eq!((&ids[0], &ids[1]), (&ids[3], &ids[2]));
    assert_eq!(
        times,
        ["1795435200", "1795435200", "1795435260", "1795435260"]
    );
}

#[tokio::test]
async fn payloads_are_encrypted_if_there_is_a_key() {
    let engage = Engage::start().await;
    engage
        .simulator
        .encrypt_webhooks(Some("0123456789abcdef0123456789abcdef"));
    let (headers, body) = engage.simulator.webhook("contact.updated", ALVA.id);
    assert_signed(&headers, &body, DEFAULT_WEBHOOK_SECRET);
    let event: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(event["isEncrypted"], true);
    // Made with `openssl enc -aes-256-cbc` from the same key, vector and text.
    assert_eq!(event["payload"], ENCRYPTED_PAYLOAD);
}

/// Accepts posts, one per connection, and answers 204.
async fn receiver() -> (String, mpsc::UnboundedReceiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!(
        "http://{}/hooks",
        listener.local_addr().expect("an address")
    );
    let (send, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = send.send(receive(stream).await);
        }
    });
    (url, received)
}

async fn receive(mut stream: TcpStream) -> (String, String) {
    let mut text = String::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.expect("readable");
        text.push_str(std::str::from_utf8(&buffer[..read]).expect("text"));
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = headers(head)["content-length"]
            .to_str()
            .expect("text")
            .parse();
        if Ok(body.len()) == length {
            let answer = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.expect("writable");
            return (head.to_owned(), body.to_owned());
        }
    }
}

fn headers(head: &str) -> HeaderMap {
    let lines = head.lines().skip(1);
    let pairs = lines.filter_map(|line| line.split_once(": "));
    pairs
        .map(|(name, value)| {
            let name: reqwest::header::HeaderName = name.parse().expect("a header");
            (name, value.parse().expect("a value"))
        })
        .collect()
}
