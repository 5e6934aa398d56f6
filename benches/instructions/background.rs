//! What runs beside hits: contacts whom nobody asked for before, and word that others have changed.

use std::fmt::Write as _;

use engage_simulator::fixtures::ALVA;

use crate::{
    Failure, kinds,
    peer::{Answer, Peer},
    service::{SHOP, Service},
};

/// So many are fetched each time.
const UNKNOWN: usize = 10;
/// So many change: twenty for each who is fetched, as 1,000 a second beside 50.
const CHANGES: usize = 20 * UNKNOWN;
/// The member numbers of the simulator's crowd begin after this.
const CROWD: usize = 200_000;
/// More turns than anything takes that was begun and need not be waited for.
const TURNS: usize = 64;

/// Others, who go on each time that they are let.
pub(crate) struct Beside {
    service: Service,
    peer: Peer,
    asked: usize,
    changed: usize,
}

impl Beside {
    pub(crate) async fn new(service: Service) -> Result<Self, Failure> {
        let alva = kinds::get(SHOP, &format!("contactId={}", ALVA.id), "");
        let peer = Peer::warm(service.connect(), alva, "200", "").await?;
        Ok(Self {
            service,
            peer,
            asked: 0,
            changed: 0,
        })
    }

    /// Some are fetched, others change, and what that began comes to its end.
    pub(crate) async fn go_on(&mut self) -> Result<(), Failure> {
        let calls = self.service.engage.total_calls();
        for _ in 0..UNKNOWN {
            self.asked += 1;
            let by_number = format!("customKey={}&parts=none", CROWD + self.asked);
            self.ask(kinds::get(SHOP, &by_number, "")).await?;
        }
        if self.service.engage.total_calls() < calls + UNKNOWN {
            return Err("Engage was not asked".into());
        }
        for _ in 0..CHANGES {
            self.changed += 1;
            let id = format!("{:08x}-4b5e-4f60-8a71-b2c300d41e01", self.changed);
            let answer = self.ask(self.change_of(&id)?).await?;
            if !answer.head.contains(" 204 ") {
                return Err(format!("a change was answered with {}", answer.head).into());
            }
        }
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// The request by which Engage tells that a contact has changed.
    fn change_of(&self, contact_id: &str) -> Result<Vec<u8>, Failure> {
        let (fields, body) = self.service.engage.webhook("contact.updated", contact_id);
        let mut head =
            "POST /webhooks/engage HTTP/1.1\r\nHost: customers.example.com\r\n".to_owned();
        for (name, value) in &fields {
            write!(head, "{name}: {}\r\n", value.to_str()?)?;
        }
        write!(head, "Content-Length: {}\r\n\r\n{body}", body.len())?;
        Ok(head.into_bytes())
    }

    async fn ask(&mut self, request: Vec<u8>) -> Result<Answer, Failure> {
        self.peer.request = request;
        self.peer.ask_once(false).await
    }
}
