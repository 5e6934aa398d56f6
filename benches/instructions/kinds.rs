//! The measured requests: those that callers send most, each answered from memory.

use std::sync::Arc;

use engage_bff::{clock::Clock, config::AuditedViews};
use engage_simulator::fixtures::{ALVA, DORA};
use serde_json::Value;

use crate::{
    BACKGROUND, Failure,
    peer::Peer,
    service::{SHOP, Service, TILL},
    standin::Standin,
};

/// The name of a kind of request, and a caller whose response is already cached.
pub(crate) type Kind = (&'static str, Peer);

/// One caller for each kind of request, with every response cached.
pub(crate) async fn all(service: &Service) -> Result<Vec<Kind>, Failure> {
    let ask = async |request: Vec<u8>, status, mark| {
        Peer::warm(service.connect(), request, status, mark).await
    };
    let by = |name: &str, value: &str| get(SHOP, &format!("{name}={}", escaped(value)), "");
    let by_email = format!("email={}", escaped(ALVA.email));
    let hit = "cache-status: engage-bff; hit";

    // As if the tenant hid the attribute: no profile confirms the alias.
    let hidden = service.engage.contact(DORA.id);
    hidden
        .attribute("memberNumber", Value::Null)
        .also_found_by("memberNumber", DORA.member_number);
    let email = ask(get(SHOP, &by_email, ""), "200", hit).await?;
    let etag = email.first.field("etag").ok_or("no ETag")?.to_owned();
    let known = format!("If-None-Match: {etag}\r\n");
    let standin = Standin::new(Clock::system());
    let backend = Arc::new(standin.connection());
    let (stream, background) = service.connect_to_sharing(backend).await?;
    let sharing = Peer::warm(stream, get(SHOP, &by_email, ""), "200", hit).await?;
    // Its heartbeats are not part of a hit.
    background.abort();
    let access_log = service.connect_to_changed(|config| config.telemetry.access_log = true);
    let access_log = Peer::warm(access_log.await?, get(SHOP, &by_email, ""), "200", hit).await?;
    let audited = service.connect_to_changed(|config| config.telemetry.audit = AuditedViews::All);
    let audited = Peer::warm(audited.await?, get(SHOP, &by_email, ""), "200", hit).await?;
    let gzip = "Accept-Encoding: gzip, deflate, br\r\n";
    // The problem's body repeats the request's id, and all responses must be the same.
    let unknown = get(
        SHOP,
        "email=unknown%40example.com",
        "X-Request-Id: bench\r\n",
    );
    Ok(vec![
        ("hit by e-mail", email),
        (BACKGROUND, ask(get(SHOP, &by_email, ""), "200", hit).await?),
        ("the same, shared tier", sharing),
        ("the same, access log", access_log),
        ("the same, audited", audited),
        (
            "the same, 304",
            ask(get(SHOP, &by_email, &known), "304", hit).await?,
        ),
        (
            "the same, gzip",
            ask(get(SHOP, &by_email, gzip), "200", "content-encoding: gzip").await?,
        ),
        (
            "the same, full view",
            ask(get(TILL, &by_email, ""), "200", hit).await?,
        ),
        (
            "the same, parts=none",
            ask(get(SHOP, &format!("{by_email}&parts=none"), ""), "200", hit).await?,
        ),
        (
            "hit by contact id",
            ask(by("contactId", ALVA.id), "200", hit).await?,
        ),
        (
            "hit by phone",
            ask(by("mobilePhone", ALVA.phone), "200", hit).await?,
        ),
        (
            "hit by member number",
            ask(by("customKey", ALVA.member_number), "200", hit).await?,
        ),
        (
            "hit by a hidden member number",
            ask(by("customKey", DORA.member_number), "200", hit).await?,
        ),
        (
            "hit by POST",
            ask(
                lookup(&format!(r#"{{"email":"{}"}}"#, ALVA.email)),
                "200",
                hit,
            )
            .await?,
        ),
        ("unknown contact, cached", ask(unknown, "404", "").await?),
        (
            "no such key",
            ask(
                get("no-such-key", &by_email, "X-Request-Id: bench\r\n"),
                "401",
                "",
            )
            .await?,
        ),
    ])
}

/// The request that the HTTP client of a shop's backend sends.
pub(crate) fn get(key: &str, query: &str, more: &str) -> Vec<u8> {
    format!(
        "GET /customer?{query} HTTP/1.1\r\nHost: customers.example.com\r\nUser-Agent: shop/1.0\r\n\
         Accept: application/json\r\nX-Api-Key: {key}\r\n{more}\r\n"
    )
    .into_bytes()
}

fn lookup(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /customer/lookup HTTP/1.1\r\nHost: customers.example.com\r\nUser-Agent: shop/1.0\r\n\
         Accept: application/json\r\nX-Api-Key: {SHOP}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn escaped(value: &str) -> String {
    value.replace('+', "%2B").replace('@', "%40")
}
