//! A request's head, parsed in place. A plain request is parsed to be answered; of any other only its end matters.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use super::super::{framing::is_host, routes::CUSTOMER};

/// The most fields that hyper accepts.
const MAX_FIELDS: usize = 100;

/// The characters of a plain query. A query with any other is left to hyper.
const PLAIN_IN_QUERY: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let is_mark = matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'%' | b'=' | b'&' | b',' | b'@' | b':'
        );
        plain[byte as usize] = byte.is_ascii_alphanumeric() || is_mark;
        byte += 1;
    }
    plain
};

/// What a connection's next bytes are.
pub(super) enum NextInput<'a> {
    /// A head that is incomplete.
    Partial,
    /// A head of `head` bytes, followed by a body of `body` bytes.
    Request {
        head: usize,
        body: u64,
        plain: Option<PlainRequest<'a>>,
    },
    /// A head of `head` bytes that hyper may refuse, or after which only hyper can tell where the body ends.
    Opaque { head: usize },
    /// A head that hyper refuses.
    Malformed,
}

/// A `GET /customer` whose head has no field that this service interprets, except these.
#[derive(Debug)]
pub(super) struct PlainRequest<'a> {
    pub(super) query: &'a str,
    pub(super) key: Option<&'a [u8]>,
    pub(super) request_id: Option<&'a [u8]>,
    pub(super) accept_encoding: Option<&'a str>,
    pub(super) if_none_match: Option<&'a str>,
    pub(super) traceparent: Option<&'a [u8]>,
    /// Whether it has an `Origin`.
    pub(super) has_origin: bool,
}

/// The fields that this service interprets, and those that must not be repeated.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    request_id: Option<&'a [u8]>,
    accept_encoding: Option<&'a [u8]>,
    if_none_match: Option<&'a [u8]>,
    traceparent: Option<&'a [u8]>,
    body: Option<u64>,
    has_origin: bool,
    class: HeadClass,
}

/// The class of a head by its fields; the greatest that applies counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum HeadClass {
    /// Nothing but the fields of a plain request.
    #[default]
    Plain,
    /// Another field has a meaning, or one of these is repeated.
    Other,
    /// Only hyper can tell where the body ends.
    Opaque,
    /// `Content-Length` is not a number.
    Malformed,
}

/// Parses the head that the bytes begin with.
pub(super) fn next(bytes: &[u8]) -> NextInput<'_> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    // hyper uses the same parser with the same settings.
    let head = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(head)) => head,
        Ok(Status::Partial) => return NextInput::Partial,
        Err(_) => return NextInput::Malformed,
    };
    let mut fields = Fields::default();
    for header in &*request.headers {
        fields.add(header);
    }
    if fields.class == HeadClass::Malformed {
        return NextInput::Malformed;
    }
    if fields.class == HeadClass::Opaque || request.method == Some("CONNECT") {
        return NextInput::Opaque { head };
    }
    let plain = plain(&request, &fields);
    if plain.is_none() && !request.path.is_some_and(is_target) {
        return NextInput::Malformed;
    }
    NextInput::Request {
        head,
        body: fields.body.unwrap_or(0),
        plain,
    }
}

/// Whether hyper accepts the text as a target, as it accepts every path of plain characters.
fn is_target(text: &str) -> bool {
    let is_plain = |byte: u8| PLAIN_IN_QUERY[usize::from(byte)] || matches!(byte, b'/' | b'?');
    (text.starts_with('/') && text.bytes().all(is_plain)) || text.parse::<http::Uri>().is_ok()
}

fn plain<'a>(request: &httparse::Request<'_, 'a>, fields: &Fields<'a>) -> Option<PlainRequest<'a>> {
    let is_plain = request.method == Some("GET")
        && request.version == Some(1)
        && fields.host.is_some_and(is_host)
        && fields.body.is_none()
        && fields.class == HeadClass::Plain;
    let query = request.path?.strip_prefix(CUSTOMER)?.strip_prefix('?')?;
    if !is_plain || !query.bytes().all(|byte| PLAIN_IN_QUERY[usize::from(byte)]) {
        return None;
    }
    let text = |value: Option<&'a [u8]>| match value {
        Some(value) if value.iter().all(|byte| (b' '..=b'~').contains(byte)) => {
            Some(str::from_utf8(value).ok())
        }
        Some(_) => None,
        None => Some(None),
    };
    Some(PlainRequest {
        query,
        key: fields.key,
        request_id: fields.request_id,
        accept_encoding: text(fields.accept_encoding)?,
        if_none_match: text(fields.if_none_match)?,
        traceparent: fields.traceparent,
        has_origin: fields.has_origin,
    })
}

impl<'a> Fields<'a> {
    fn add(&mut self, header: &Header<'a>) {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let slot = match header.name.len() {
            4 if is("host") => &mut self.host,
            9 if is("x-api-key") => &mut self.key,
            12 if is("x-request-id") => &mut self.request_id,
            13 if is("if-none-match") => &mut self.if_none_match,
            15 if is("accept-encoding") => &mut self.accept_encoding,
            11 if is("traceparent") => {
                // If there are several, none of them counts: an empty value stands for them, which is malformed.
                let only = self.traceparent.is_none();
                self.traceparent = Some(if only { header.value } else { b"" });
                return;
            }
            10 if is("connection") => {
                if !header.value.eq_ignore_ascii_case(b"keep-alive") {
                    self.raise(HeadClass::Other);
                }
                return;
            }
            14 if is("content-length") => {
                let is_number = header.value.iter().all(u8::is_ascii_digit);
                let length = str::from_utf8(header.value).ok().filter(|_| is_number);
                let length = length.and_then(|length| length.parse().ok());
                if self.body.is_some() {
                    self.raise(HeadClass::Opaque);
                }
                if length.is_none() {
                    self.raise(HeadClass::Malformed);
                }
                self.body = length;
                return;
            }
            8 if is("if-match") => return self.raise(HeadClass::Other),
            6 if is("origin") => return self.has_origin = true,
            6 if is("expect") => return self.raise(HeadClass::Opaque),
            7 if is("upgrade") => return self.raise(HeadClass::Opaque),
            17 if is("transfer-encoding") => return self.raise(HeadClass::Opaque),
            12 if is("content-type") => return self.raise(HeadClass::Other),
            13 if is("cache-control") || is("authorization") => {
                return self.raise(HeadClass::Other);
            }
            16 if is("content-encoding") => return self.raise(HeadClass::Other),
            _ => return,
        };
        let is_repeated = slot.replace(header.value).is_some();
        if is_repeated {
            self.raise(HeadClass::Other);
        }
    }

    fn raise(&mut self, class: HeadClass) {
        self.class = self.class.max(class);
    }
}
