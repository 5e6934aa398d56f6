//! A request's head, read in place. Only what is plain is read to be answered; of everything else it is enough to know
//! where it ends.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use super::super::{framing::is_host, routes::CUSTOMER};

/// As many fields as hyper takes.
const MAX_FIELDS: usize = 100;

/// The characters of usual queries. Whatever else one may hold, it is not for this path to judge.
const IN_QUERIES: [bool; 256] = {
    let mut usual = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let of_urls = matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'%' | b'=' | b'&' | b',' | b'@' | b':'
        );
        usual[byte as usize] = byte.is_ascii_alphanumeric() || of_urls;
        byte += 1;
    }
    usual
};

/// What a connection's next bytes are.
pub(super) enum Next<'a> {
    /// Not yet a whole head.
    Partial,
    /// A whole head of so many bytes, and so many of a body after it.
    Request {
        head: usize,
        body: u64,
        plain: Option<PlainRequest<'a>>,
    },
    /// A whole head of so many bytes, of which only hyper knows what comes behind it, or whether it refuses it.
    Odd { head: usize },
    /// What hyper refuses.
    Malformed,
}

/// A plain question about a customer: nothing in its head but what is here has a meaning to us.
#[derive(Debug)]
pub(super) struct PlainRequest<'a> {
    pub(super) query: &'a str,
    pub(super) key: Option<&'a [u8]>,
    pub(super) request_id: Option<&'a [u8]>,
    pub(super) accept_encoding: Option<&'a str>,
    pub(super) if_none_match: Option<&'a str>,
}

/// The fields that have a meaning to us, and those that may never be repeated.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    request_id: Option<&'a [u8]>,
    accept_encoding: Option<&'a [u8]>,
    if_none_match: Option<&'a [u8]>,
    body: Option<u64>,
    /// Whether there is one of another meaning, or one of these twice.
    is_more: bool,
    /// Whether there is one that says how the connection goes on.
    is_odd: bool,
    /// Whether its length is none.
    is_malformed: bool,
}

/// Reads the head that the bytes begin with.
pub(super) fn next(bytes: &[u8]) -> Next<'_> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    // The parser and the settings that hyper reads heads with.
    let head = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(head)) => head,
        Ok(Status::Partial) => return Next::Partial,
        Err(_) => return Next::Malformed,
    };
    let mut fields = Fields::default();
    for header in &*request.headers {
        fields.add(header);
    }
    if fields.is_malformed {
        return Next::Malformed;
    }
    if fields.is_odd || request.method == Some("CONNECT") {
        return Next::Odd { head };
    }
    let plain = plain(&request, &fields);
    if plain.is_none() && !request.path.is_some_and(is_target) {
        return Next::Malformed;
    }
    Next::Request {
        head,
        body: fields.body.unwrap_or(0),
        plain,
    }
}

/// Whether hyper takes it for a target. Paths of usual characters it does.
fn is_target(text: &str) -> bool {
    let is_usual = |byte: u8| IN_QUERIES[usize::from(byte)] || matches!(byte, b'/' | b'?');
    (text.starts_with('/') && text.bytes().all(is_usual)) || text.parse::<http::Uri>().is_ok()
}

fn plain<'a>(request: &httparse::Request<'_, 'a>, fields: &Fields<'a>) -> Option<PlainRequest<'a>> {
    let is_plain = request.method == Some("GET")
        && request.version == Some(1)
        && fields.host.is_some_and(is_host)
        && fields.body.is_none()
        && !fields.is_more;
    let query = request.path?.strip_prefix(CUSTOMER)?.strip_prefix('?')?;
    if !is_plain || !query.bytes().all(|byte| IN_QUERIES[usize::from(byte)]) {
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
            10 if is("connection") => {
                self.is_more |= !header.value.eq_ignore_ascii_case(b"keep-alive");
                return;
            }
            14 if is("content-length") => {
                let is_number = header.value.iter().all(u8::is_ascii_digit);
                let length = str::from_utf8(header.value).ok().filter(|_| is_number);
                let length = length.and_then(|length| length.parse().ok());
                self.is_odd |= self.body.is_some();
                self.is_malformed |= length.is_none();
                self.body = length;
                return;
            }
            8 if is("if-match") => return self.is_more = true,
            6 if is("expect") => return self.is_odd = true,
            7 if is("upgrade") => return self.is_odd = true,
            17 if is("transfer-encoding") => return self.is_odd = true,
            12 if is("content-type") => return self.is_more = true,
            13 if is("cache-control") || is("authorization") => return self.is_more = true,
            16 if is("content-encoding") => return self.is_more = true,
            _ => return,
        };
        self.is_more |= slot.is_some();
        *slot = Some(header.value);
    }
}
