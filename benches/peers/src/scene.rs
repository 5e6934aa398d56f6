//! What all measurements share: the simulated Engage, the service with everything in memory, and its responses, which
//! the peers serve too.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Failure,
    caller::{Caller, ask_all, get},
    contacts::email,
    peers::{LOADING, MEASURED, own},
    process::Server,
    service::{Service, Start},
    wrk::{RequestFiles, write_order},
};

/// How many contacts are requested again and again.
pub(crate) const CONTACTS: usize = 10_000;
/// How often every contact is requested until the responses stay the same.
const WARMING: usize = 3;

/// An `ETag` and a body.
type Answer = (String, Vec<u8>);

/// What all measurements share.
pub(crate) struct Scene {
    pub(crate) scratch: PathBuf,
    pub(crate) binary: String,
    pub(crate) engage: Server,
    /// The recorded responses of the service, for the twin and the origin.
    pub(crate) bodies: PathBuf,
    pub(crate) questions: RequestFiles,
}

impl Scene {
    pub(crate) async fn set(scratch: &Path, binary: &str) -> Result<Self, Failure> {
        let bodies = scratch.join("bodies");
        Ok(Self {
            engage: own("engage", LOADING, &bodies, scratch).await?,
            questions: RequestFiles {
                file: scratch.join("questions"),
                order: scratch.join("order"),
            },
            scratch: scratch.to_owned(),
            binary: binary.to_owned(),
            bodies,
        })
    }

    /// The usual start of the service.
    pub(crate) fn usual(&self) -> Start<'_> {
        Start {
            binary: &self.binary,
            engage: self.engage.address,
            scratch: &self.scratch,
            cores: MEASURED,
            workers: "1",
            lifetime: "12h",
            max_size: "512MiB",
        }
    }

    /// The service with all contacts in memory.
    pub(crate) async fn warm_service(&self, start: Start<'_>) -> Result<Service, Failure> {
        Ok(self.answers(start).await?.0)
    }

    /// The same, and records the responses.
    pub(crate) async fn recorded_service(&self, start: Start<'_>) -> Result<Service, Failure> {
        let (service, answers) = self.answers(start).await?;
        self.record(answers)?;
        Ok(service)
    }

    async fn answers(&self, start: Start<'_>) -> Result<(Service, Vec<Answer>), Failure> {
        let service = start.serve().await?;
        let address = service.server.address;
        let mut answers = Vec::new();
        for round in 1..=WARMING {
            answers = warm(address, "", move |reply| {
                let is_hit = reply.cache_status().contains("; hit");
                if round == WARMING && !is_hit {
                    return Err(format!("it is still not a hit: {}", reply.head).into());
                }
                let etag = reply.field("etag").ok_or("no ETag")?.to_owned();
                Ok((etag, reply.body))
            })
            .await?;
        }
        warm(address, "Accept-Encoding: gzip\r\n", |_| Ok(())).await?;
        Ok((service, answers))
    }

    fn record(&self, answers: Vec<Answer>) -> Result<(), Failure> {
        write_order(&self.questions.order, CONTACTS)?;
        let (mut bodies, mut questions) = (Vec::new(), String::new());
        for (number, (etag, body)) in answers.into_iter().enumerate() {
            let query = query(number);
            questions.extend([&query, "\t", &etag, "\n"]);
            bodies.extend_from_slice(format!("{query}\n{etag}\n").as_bytes());
            bodies.extend_from_slice(&body);
            bodies.push(b'\n');
        }
        fs::write(&self.questions.file, questions)?;
        Ok(fs::write(&self.bodies, bodies)?)
    }

    /// Sets Engage's response time, and returns the number of calls since it was last set.
    pub(crate) async fn set_engage_delay(&self, delay: Duration) -> Result<u64, Failure> {
        let mut caller = Caller::connect(self.engage.address).await?;
        let path = format!("/delay/{}", delay.as_millis());
        let reply = caller.ask(&get(&path, "")).await?.expect(200)?;
        Ok(String::from_utf8(reply.body)?.parse()?)
    }
}

/// Requests every contact once.
pub(crate) async fn warm<T: Send + 'static>(
    address: SocketAddr,
    more: &'static str,
    look: impl Fn(crate::caller::Reply) -> Result<T, Failure> + Send + Sync + 'static,
) -> Result<Vec<T>, Failure> {
    let request = move |number| get(&format!("/customer?{}", query(number)), more);
    ask_all(address, CONTACTS, request, move |reply| {
        look(reply.expect(200)?)
    })
    .await
}

fn query(number: usize) -> String {
    format!("email={}", email(number).replace('@', "%40"))
}
