//! Background load between the hits that are counted: misses, and webhooks about other contacts.

use std::fmt::Write as _;

use engage_simulator::fixtures::ALVA;

use crate::{
    Failure, kinds,
    peer::{Answer, Peer},
    service::{SHOP, Service},
};

/// Contacts that each batch fetches.
const FETCHES: usize = 10;
/// Contacts that each batch changes: twenty for each contact that it fetches, which is the ratio of 1,000 changes to 50
/// calls a second.
const CHANGES: usize = 20 * FETCHES;
/// The member numbers of the simulator's generated contacts begin after this.
const GENERATED: usize = 200_000;
/// How often the batch yields to the background tasks: more often than any of them needs.
const TURNS: usize = 64;

/// The background load, one batch at a time.
pub(crate) struct Background {
    service: Service,
    peer: Peer,
    asked: usize,
    changed: usize,
}

impl Background {
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

    /// Fetches some contacts, changes others, and waits until the background tasks that this started have finished.
    pub(crate) async fn run_batch(&mut self) -> Result<(), Failure> {
        let calls = self.service.engage.total_calls();
        for _ in 0..FETCHES {
            self.asked += 1;
            let by_number = format!("customKey={}&parts=none", GENERATED + self.asked);
            self.ask(kinds::get(SHOP, &by_number, "")).await?;
        }
        if self.service.engage.total_calls() < calls + FETCHES {
            return Err("Engage was not called".into());
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

    /// The webhook about a changed contact.
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
