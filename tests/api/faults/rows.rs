//! The table: every fault of Engage that a lookup can meet, and its expected outcome.

use std::{io::Write, ops::RangeInclusive, time::Duration};

use engage_simulator::{
    Fault,
    fixtures::{ALVA, CIM},
};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

/// One fault and its expected outcome.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a plain column of the table"
)]
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) fault: Fault,
    /// Status of the answer when nothing is cached.
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) retry_after: Option<RangeInclusive<u64>>,
    /// Whether the error is returned even if a record is cached.
    pub(super) is_final: bool,
    /// Whether the refusal is cached as a negative entry: it is about the identifier.
    pub(super) is_negative: bool,
    /// Whether it raises an alarm for operators.
    pub(super) is_alarm: bool,
    /// Whether the call is retried when there is credit.
    pub(super) is_retried: bool,
    /// Whether the call is repeated on a new connection, without credit, if a reused connection broke.
    pub(super) is_repeated: bool,
    /// Whether the call hangs past the request timeout.
    pub(super) hangs: bool,
    /// The longest time to recover after the fault ends.
    pub(super) recovers_within: Duration,
}

impl Row {
    fn new(what: &'static str, fault: Fault, status: u16, code: &'static str) -> Self {
        Self {
            what,
            fault,
            status,
            code,
            retry_after: None,
            is_final: false,
            is_negative: false,
            is_alarm: false,
            is_retried: false,
            is_repeated: false,
            hangs: false,
            recovers_within: Duration::ZERO,
        }
    }

    /// The connection broke.
    fn broken(what: &'static str, fault: Fault) -> Self {
        Self::new(what, fault, 502, "UpstreamFailed")
    }

    /// Engage failed.
    fn failed(what: &'static str, fault: Fault) -> Self {
        Self::broken(what, fault).charged()
    }

    /// The answer is unreadable.
    fn invalid(what: &'static str, fault: Fault) -> Self {
        Self::new(what, fault, 502, "UpstreamInvalid")
            .alarm()
            .charged()
    }

    /// The failure is charged to the requested record, which gets a back-off.
    fn charged(self) -> Self {
        Self {
            recovers_within: Duration::from_secs(30),
            ..self
        }
    }

    /// A 429 or 503 with a delay.
    fn wait(what: &'static str, fault: Fault, seconds: RangeInclusive<u64>) -> Self {
        Self {
            recovers_within: Duration::from_secs(*seconds.end()),
            retry_after: Some(seconds),
            ..Self::new(what, fault, 503, "UpstreamUnavailable")
        }
    }

    fn alarm(self) -> Self {
        Self {
            is_alarm: true,
            ..self
        }
    }

    fn retried(self) -> Self {
        Self {
            is_retried: true,
            ..self
        }
    }

    fn repeated(self) -> Self {
        Self {
            is_repeated: true,
            ..self
        }
    }

    /// The number of calls that the fault costs with a reused connection and no credit.
    pub(super) fn cost(&self) -> usize {
        1 + usize::from(self.is_repeated)
    }

    fn negative(self) -> Self {
        Self {
            is_final: true,
            is_negative: true,
            recovers_within: Duration::from_secs(30),
            ..self
        }
    }
}

/// Every row of the table.
pub(super) fn all() -> Vec<Row> {
    let mut rows = broken_connections();
    rows.extend(unreadable_answers());
    rows.extend(unreadable_transfers());
    rows.extend(statuses());
    rows.extend(waits());
    rows.extend(refusals_of_the_identifier());
    rows
}

fn broken_connections() -> Vec<Row> {
    let hang = Row {
        hangs: true,
        // The call times out after ten seconds; until then requests for the same record share it.
        recovers_within: Duration::from_secs(10),
        ..Row::new("a hanging call", Fault::Hang, 504, "UpstreamTimeout")
    };
    let whole = overview_of_alva();
    let longer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{whole}",
        whole.len() + 1
    );
    vec![
        hang,
        Row::broken("a reset before the answer", Fault::ResetBeforeBody)
            .retried()
            .repeated(),
        Row::broken("a close before the answer", raw(""))
            .retried()
            .repeated(),
        Row::broken("a reset inside the body", Fault::ResetMidBody),
        Row::broken(
            "complete JSON, shorter than its content length",
            raw(longer),
        ),
        Row::broken(
            "a chunk without a size",
            raw(chunked("ZZ\r\n{}\r\n0\r\n\r\n")),
        ),
        Row::broken(
            "complete JSON without the last chunk",
            raw(chunked(&format!("{:x}\r\n{whole}\r\n", whole.len()))),
        ),
        Row::broken(
            "a close inside a chunk",
            raw(chunked(&format!("{:x}\r\n{whole}", whole.len() + 9))),
        ),
    ]
}

fn unreadable_answers() -> Vec<Row> {
    let body = |body: &str| Fault::Body(body.to_owned());
    let deep = format!(
        r#"{{"id":"{}","new":{}{}}}"#,
        ALVA.id,
        "[".repeat(200),
        "]".repeat(200)
    );
    vec![
        Row::invalid("half of the JSON", Fault::TruncatedJson),
        Row::invalid("garbage", body("\u{1}\u{2}}{")),
        Row::invalid("an empty 200", Fault::Empty200),
        Row::invalid("204", raw("HTTP/1.1 204 No Content\r\n\r\n")),
        Row::invalid("an HTML page with 200", Fault::HtmlOk200),
        Row::invalid(
            "JSON with the content type of text",
            Fault::WrongContentType,
        ),
        Row::invalid("NaN", body(r#"{"id": NaN}"#)),
        Row::invalid("an array of numbers", body("[7]")),
        Row::invalid("null", body("null")),
        Row::invalid("an object of another shape", body("{}")),
        Row::invalid("many open brackets", body(&"[".repeat(100_000))),
        Row::invalid("an unknown field nested too deeply", body(&deep)),
    ]
}

fn unreadable_transfers() -> Vec<Row> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let fields = "x-field: 1\r\n".repeat(1000);
    let coded = |coding: &str, body: &[u8]| {
        let head = format!(
            "{head}content-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Fault::Raw([head.as_bytes(), body].concat().into())
    };
    vec![
        Row::invalid("a gzip bomb", coded("gzip", &gzip_bomb())),
        Row::invalid(
            "plain JSON labelled as gzip",
            coded("gzip", overview_of_alva().as_bytes()),
        ),
        Row::invalid("not HTTP", raw("SSH-2.0-OpenSSH_9.2\r\n")),
        Row::invalid("a thousand fields", raw(format!("{head}{fields}\r\n"))),
        Row::invalid(
            "two lengths",
            raw(format!(
                "{head}content-length: 1\r\ncontent-length: 2\r\n\r\n{{}}"
            )),
        ),
    ]
}

fn statuses() -> Vec<Row> {
    let text = |status: u16| Fault::Status(status, json!("no"));
    let redirect = |status: u16| {
        raw(format!(
            "HTTP/1.1 {status} Elsewhere\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"
        ))
    };
    let refused = |status, code| {
        Row::new("refused", text(status), 502, code)
            .alarm()
            .charged()
    };
    vec![
        refused(401, "UpstreamUnauthorized"),
        refused(403, "UpstreamForbidden"),
        Row::failed("500", text(500)),
        Row::failed("502 of a proxy", Fault::Html502).retried(),
        Row::failed("502", text(502)).retried(),
        Row::failed("503", text(503)).retried(),
        Row::failed("504", text(504)).retried(),
        Row::failed("501", text(501)),
        Row::failed("404 of an unknown route", text(404)),
        Row::failed("302", redirect(302)),
        Row::failed("307", redirect(307)),
        Row::failed("308", redirect(308)),
    ]
}

fn waits() -> Vec<Row> {
    let too_many = |retry_after: Option<&str>| Fault::TooMany {
        retry_after: retry_after.map(str::to_owned),
    };
    vec![
        Row::wait("429 with seconds", too_many(Some("7")), 7..=7),
        Row::wait(
            "429 with a date",
            too_many(Some("Mon, 23 Nov 2026 12:00:30 GMT")),
            30..=30,
        ),
        Row::wait("429 with an hour", too_many(Some("3600")), 60..=60),
        Row::wait("429 without", too_many(None), 1..=2),
        Row::wait("503 with seconds", raw(busy("3")), 3..=3),
        Row::wait("503 with an hour", raw(busy("3600")), 5..=5),
        Row::failed("503 with no seconds", raw(busy("0"))).retried(),
    ]
}

fn refusals_of_the_identifier() -> Vec<Row> {
    let ambiguous = json!({
        "errorCode": "MultipleMatches",
        "messageDetails": {"multipleMatchesFound": []},
    });
    let unknown = json!({"errorCode": "ContactNotFound"});
    let malformed = json!({"errorCode": "InvalidEmailAddress"});
    let mismatch = |what, fault| Row {
        is_final: true,
        ..Row::new(what, fault, 502, "IdentityMismatch")
            .alarm()
            .charged()
    };
    let refused = |what, status, body, code| {
        Row::new(what, Fault::Status(status, body), status, code).negative()
    };
    let impostor = overview(ALVA.id, CIM.email);
    vec![
        mismatch(
            "another contact's overview",
            Fault::WrongContact(CIM.id.to_owned()),
        ),
        mismatch(
            "another contact's email under the right id",
            Fault::Body(impostor),
        ),
        refused("ambiguous", 409, ambiguous, "MultipleMatches"),
        refused("unknown", 404, unknown, "ContactNotFound"),
        refused("malformed", 400, malformed, "InvalidEmailAddress"),
    ]
}

/// These raw bytes, then the end of the connection.
pub(super) fn raw(bytes: impl Into<String>) -> Fault {
    Fault::Raw(bytes.into().into())
}

/// A 503 with `Retry-After`.
pub(crate) fn busy(retry_after: &str) -> String {
    format!("HTTP/1.1 503 Busy\r\nretry-after: {retry_after}\r\ncontent-length: 0\r\n\r\n")
}

fn chunked(body: &str) -> String {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked";
    format!("{head}\r\n\r\n{body}")
}

fn overview_of_alva() -> String {
    overview(ALVA.id, ALVA.email)
}

/// An overview that the service would cache if it arrived intact.
fn overview(id: &str, email: &str) -> String {
    let overview: Value = json!({
        "id": id, "attributes": {"email": email}, "meta": {"contactType": "Member"},
        "audiences": [], "promotions": [], "rewardVouchers": [],
    });
    overview.to_string()
}

/// 200 MiB of spaces compressed to a fifth of a MiB: gzip allows many members.
pub(super) fn gzip_bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(&vec![b' '; 1 << 20])
        .expect("writing to memory does not fail");
    let member = encoder.finish().expect("writing to memory does not fail");
    member.repeat(200)
}
