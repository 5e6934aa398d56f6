//! The bench's own servers, each a process of bare hyper: the simulated Engage, which is fast enough as the upstream of
//! a measured proxy; the twin, which sends the service's recorded responses from a table; and the origin of the peers,
//! the same with the headers that caches need.

use std::{
    collections::HashMap,
    convert::Infallible,
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep_until},
};

use crate::{
    Failure,
    contacts::{contact_id, number_of, overview, points},
};

type Reply = Response<Full<Bytes>>;

/// Serves until it is killed.
pub(crate) fn serve(role: &str, address: SocketAddr, bodies: &Path) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind(address))?;
    match role {
        "engage" => {
            let engage = Arc::new(Engage::default());
            runtime.block_on(accept(listener, move |request| {
                let engage = Arc::clone(&engage);
                async move { engage.answer(&request).await }
            }))
        }
        "twin" | "origin" => {
            let table = Arc::new(read_bodies(bodies)?);
            let is_cacheable = role == "origin";
            runtime.block_on(accept(listener, move |request| {
                let reply = from_table(&table, &request, is_cacheable);
                std::future::ready(reply)
            }))
        }
        other => Err(format!("no such server: {other}").into()),
    }
}

async fn accept<F>(
    listener: TcpListener,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> Result<(), Failure>
where
    F: Future<Output = Reply> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        let service = service_fn(move |request| {
            let answering = answer(request);
            async move { Ok::<_, Infallible>(answering.await) }
        });
        let connection = http1::Builder::new()
            .pipeline_flush(true)
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

fn json(body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    let json = header::HeaderValue::from_static("application/json");
    reply.headers_mut().insert(header::CONTENT_TYPE, json);
    reply
}

fn bare(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    reply
}

/// The response of the twin or the origin: the body recorded for the query as written.
fn from_table(
    table: &HashMap<String, (Bytes, String)>,
    request: &Request<Incoming>,
    is_cacheable: bool,
) -> Reply {
    let query = request.uri().query().unwrap_or_default();
    let Some((body, etag)) = table.get(query) else {
        return bare(StatusCode::NOT_FOUND);
    };
    let mut reply = json(body.clone());
    if is_cacheable {
        let headers = reply.headers_mut();
        let forever = header::HeaderValue::from_static("public, max-age=36000");
        headers.insert(header::CACHE_CONTROL, forever);
        if let Ok(etag) = etag.parse() {
            headers.insert(header::ETAG, etag);
        }
    }
    reply
}

/// The recorded responses: three lines each, the last of which is the body.
fn read_bodies(file: &Path) -> Result<HashMap<String, (Bytes, String)>, Failure> {
    let text = fs::read_to_string(file)?;
    let mut lines = text.lines();
    let mut table = HashMap::new();
    while let (Some(query), Some(etag), Some(body)) = (lines.next(), lines.next(), lines.next()) {
        let body = Bytes::copy_from_slice(body.as_bytes());
        table.insert(query.to_owned(), (body, etag.to_owned()));
    }
    Ok(table)
}

/// The simulated Engage, which knows every contact number.
#[derive(Default)]
struct Engage {
    /// The response time, in milliseconds.
    delay: AtomicU64,
    calls: AtomicU64,
}

impl Engage {
    async fn answer(&self, request: &Request<Incoming>) -> Reply {
        let path = request.uri().path();
        if let Some(delay) = path.strip_prefix("/delay/") {
            self.delay
                .store(delay.parse().unwrap_or_default(), Ordering::Relaxed);
            return json(Bytes::from(
                self.calls.swap(0, Ordering::Relaxed).to_string(),
            ));
        }
        let query = request.uri().query().unwrap_or_default();
        let mut values = query.split('&').filter_map(|pair| pair.split_once('='));
        let named = values.find_map(|(_, value)| number_of(value));
        // The contact id in `/contacts/{id}` and the paths below it.
        let Some(number) = named.or_else(|| path.split('/').find_map(number_of)) else {
            return bare(StatusCode::NOT_FOUND);
        };
        self.calls.fetch_add(1, Ordering::Relaxed);
        let delay = self.delay.load(Ordering::Relaxed);
        if delay > 0 {
            sleep_until(Instant::now() + Duration::from_millis(delay)).await;
        }
        let body = match path.rsplit('/').next() {
            Some("point-accounts") => points(number),
            Some("id") => format!("\"{}\"", contact_id(number)),
            Some("promotions") => "[]".to_owned(),
            Some("available") => r#"{"count":0,"offset":0,"items":[],"totalCount":0}"#.to_owned(),
            // What the peers request, with the same query as their callers.
            Some("customer") => {
                let mut reply = json(Bytes::from(overview(number)));
                let forever = header::HeaderValue::from_static("public, max-age=36000");
                reply.headers_mut().insert(header::CACHE_CONTROL, forever);
                return reply;
            }
            _ => overview(number),
        };
        json(Bytes::from(body))
    }
}
