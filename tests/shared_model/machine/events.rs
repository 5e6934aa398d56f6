//! What each event does.

use engage_bff::{domain::Part, shared_tier::protocol::BackendError};
use engage_simulator::{Endpoint, Fault as EngageFault};
use serde_json::json;
use tokio::task::AbortHandle;

use super::{Machine, PendingNotice, Read};
use crate::{
    engage::{CONTACTS, PARTS, address},
    ops::{Notice, Op, REPLICAS, Stretch, TierFault},
    oracle::{CheckResult, Floors, floors_of, lagging_floors},
    replicas::{FALLBACK, KEY, LIFETIME},
    standin::Fault,
};

use std::time::Duration;

impl Machine {
    pub(super) async fn apply(&mut self, op: &Op) -> CheckResult {
        let now = self.now();
        match *op {
            Op::Nothing => {}
            Op::Read {
                replica,
                contact,
                by_email,
                fresh,
            } => self.read(replica, contact, by_email, fresh),
            Op::ReadAll { contact, by_email } => {
                for replica in 0..REPLICAS {
                    self.read(replica, contact, by_email, None);
                }
            }
            Op::Cancel(number) => {
                if !self.reads.is_empty() {
                    let read = self.reads.remove(number % self.reads.len());
                    read.task.abort();
                }
            }
            Op::Edit(contact, part) => self.engage.edit(contact, part, now),
            Op::Notify {
                replica,
                contact,
                notice,
            } => self.notify(replica, contact, notice),
            Op::Change {
                replica,
                contact,
                part,
            } => {
                self.engage.edit(contact, part, now);
                self.notify(replica, contact, Notice::Webhook(part));
            }
            Op::Hold(computes_late) => {
                self.engage.hold(computes_late);
                self.held_since = Some(self.held_since.unwrap_or(now));
                self.last_held = Some(now);
            }
            Op::ReleaseOne => self.engage.release_one(),
            Op::Release => self.release_engage(),
            Op::EngageFails(times) => {
                let fault = EngageFault::Status(503, json!("busy"));
                self.engage
                    .simulator
                    .fault_times(Endpoint::All, fault, times);
                self.excuse();
            }
            Op::Advance(stretch) => return self.pass(length(stretch)).await,
            Op::Cut(replica) => self.cut(replica, true),
            Op::Deafen(replica) => self.deafen(replica, true),
            Op::Mend(replica) => {
                self.cut(replica, false);
                self.deafen(replica, false);
            }
            Op::Restart {
                replica,
                gracefully,
            } => self.restart(replica, gracefully).await,
            ref fault => self.disturb_tier(fault),
        }
        Ok(())
    }

    fn disturb_tier(&mut self, op: &Op) {
        let standin = &self.standin;
        match *op {
            Op::TierFault(fault) => self.fault_tier(fault),
            Op::LoseReply(operation) => standin.fault_next(operation, Fault::LostReply),
            Op::LoseRequest(operation) => standin.fault_next(operation, Fault::Unreachable),
            Op::DelayRequest(operation) => standin.fault_next(operation, Fault::SlowRequest),
            Op::ReleaseTier => standin.release(),
            Op::Flush => standin.flush(),
            Op::RestartTier(keeps_keys) => standin.restart(keeps_keys),
            Op::Snapshot => standin.take_snapshot(),
            Op::FailOver => standin.fail_over(),
            Op::Evict(key) => {
                standin.evict(key);
            }
            Op::Trim(newest) => standin.trim_stream(newest),
            _ => unreachable!("no event of the tier"),
        }
        let is_harmless = matches!(op, Op::Snapshot | Op::ReleaseTier);
        if !is_harmless {
            self.note_disturbance();
        }
    }

    fn fault_tier(&mut self, fault: Option<TierFault>) {
        self.standin.set_fault(None);
        self.standin.refuse_writes(None);
        self.tier_is_faulty = fault.is_some();
        self.tier_is_dark = matches!(
            fault,
            Some(TierFault::Down | TierFault::SlowReplies | TierFault::SlowRequests)
        );
        match fault {
            None => self.standin.release(),
            Some(TierFault::Down) => self.standin.set_fault(Some(Fault::Unreachable)),
            Some(TierFault::SlowReplies) => self.standin.set_fault(Some(Fault::SlowReply)),
            Some(TierFault::SlowRequests) => self.standin.set_fault(Some(Fault::SlowRequest)),
            Some(TierFault::Full) => self.standin.refuse_writes(Some(BackendError::Full)),
            Some(TierFault::ReadOnly) => self.standin.refuse_writes(Some(BackendError::ReadOnly)),
        }
    }

    pub(super) fn read(
        &mut self,
        replica: usize,
        contact: usize,
        by_email: bool,
        fresh: Option<Part>,
    ) {
        let mut target = if by_email {
            format!("/customer?email={}", address(contact))
        } else {
            format!("/customer?contactId={}", self.engage.id(contact))
        };
        if let Some(part) = fresh {
            target = format!("{target}&fresh={}", part.as_str());
        }
        let now = self.now();
        let health = self.health[replica];
        let floors = self.oracle.floors(&self.engage, &health, contact, now);
        let fresh = fresh.and_then(|part| {
            let index = PARTS.iter().position(|known| *known == part)?;
            Some((index, self.engage.version(contact, part)))
        });
        let address = self.replicas[replica].address;
        let fields = vec![("x-api-key".to_owned(), KEY.to_owned())];
        let text = format!("GET {target} at replica {replica}, at {:?}", self.passed());
        let (number, task) = self.send(address, "GET", target, fields, String::new());
        self.reads.push(Read {
            number,
            replica,
            contact,
            sent: now,
            floors,
            fresh,
            task,
            text,
        });
    }

    /// A webhook about a contact that is not read, so that the replica knows that webhooks arrive.
    pub(super) fn deliver_any(&mut self, replica: usize) {
        let id = self.engage.other_id().to_owned();
        let (number, _) = self.webhook(replica, "something.new.happened", &id);
        self.expect(number, replica, Notice::UnknownEvent, Floors::default(), 0);
    }

    fn webhook(&mut self, replica: usize, event: &str, id: &str) -> (usize, AbortHandle) {
        let (headers, body) = self.engage.simulator.webhook(event, id);
        let fields = headers.iter().map(|(name, value)| {
            let value = value.to_str().expect("plain ASCII");
            (name.to_string(), value.to_owned())
        });
        let fields = fields.collect();
        let address = self.replicas[replica].address;
        self.send(address, "POST", "/webhooks/engage".to_owned(), fields, body)
    }

    fn expect(
        &mut self,
        number: usize,
        replica: usize,
        notice: Notice,
        floors: Floors,
        contact: usize,
    ) {
        self.notices.push(PendingNotice {
            number,
            incarnation: self.replicas[replica].incarnation,
            floors,
            is_wide: matches!(notice, Notice::PurgeByEmail | Notice::PurgeEverything),
            is_troubled: false,
            replica,
            text: format!("{notice:?} of contact {contact} at replica {replica}"),
        });
    }

    pub(super) fn notify(&mut self, replica: usize, contact: usize, notice: Notice) {
        let now = self.now();
        let floors = match notice {
            Notice::Webhook(Part::Vouchers) => {
                floors_of(&self.engage, contact, &[Part::Vouchers, Part::Points])
            }
            Notice::Webhook(part) => floors_of(&self.engage, contact, &[part]),
            Notice::UnknownEvent | Notice::Purge => floors_of(&self.engage, contact, &PARTS),
            Notice::PurgeByEmail => lagging_floors(&self.engage, &[contact], now),
            Notice::PurgeEverything => {
                let all: Vec<usize> = (0..CONTACTS).collect();
                lagging_floors(&self.engage, &all, now)
            }
        };
        let event = match notice {
            Notice::Webhook(Part::Profile) => Some("contact.updated"),
            Notice::Webhook(Part::Vouchers) => Some("reward.voucher.created"),
            Notice::Webhook(_) => Some("point.balance.updated"),
            Notice::UnknownEvent => Some("something.new.happened"),
            _ => None,
        };
        let id = self.engage.id(contact).to_owned();
        let operations = self.replicas[replica].operations;
        let json = vec![("content-type".to_owned(), "application/json".to_owned())];
        let (number, _) = match notice {
            Notice::Purge => {
                let target = format!("/cache/contacts/{id}");
                self.send(operations, "DELETE", target, Vec::new(), String::new())
            }
            Notice::PurgeByEmail => {
                let body = json!({ "email": address(contact) }).to_string();
                self.send(operations, "POST", "/cache/purge".to_owned(), json, body)
            }
            Notice::PurgeEverything => {
                let body = json!({ "all": true }).to_string();
                self.send(operations, "POST", "/cache/purge".to_owned(), json, body)
            }
            Notice::Webhook(_) | Notice::UnknownEvent => {
                self.webhook(replica, event.expect("a webhook"), &id)
            }
        };
        self.expect(number, replica, notice, floors, contact);
    }

    pub(super) fn deafen(&mut self, replica: usize, is_deaf: bool) {
        self.deaf[replica] = is_deaf;
        if let Some(connection) = &self.replicas[replica].connection {
            connection.deafen(is_deaf);
        }
    }

    fn cut(&mut self, replica: usize, is_cut: bool) {
        self.cut[replica] = is_cut;
        if let Some(connection) = &self.replicas[replica].connection {
            connection.cut(is_cut);
        }
    }

    pub(super) async fn restart(&mut self, replica: usize, gracefully: bool) {
        let old = &self.replicas[replica];
        if gracefully {
            old.stop();
        } else {
            old.abandon();
        }
        self.was_disturbed = true;
        // No read waits for it any more.
        for read in self.reads.iter().filter(|read| read.replica == replica) {
            read.task.abort();
        }
        self.reads.retain(|read| read.replica != replica);
        self.notices.retain(|notice| notice.replica != replica);
        let (new, health) = self.start_replica(false).await;
        if let Some(connection) = &new.connection {
            connection.cut(self.cut[replica]);
            connection.deafen(self.deaf[replica]);
        }
        self.replicas[replica] = new;
        self.health[replica] = health;
    }
}

fn length(stretch: Stretch) -> Duration {
    match stretch {
        Stretch::Moment => Duration::from_millis(1),
        Stretch::TierTimeout => Duration::from_millis(50),
        Stretch::Second => Duration::from_secs(1),
        Stretch::Seconds(seconds) => Duration::from_secs(seconds.into()),
        Stretch::Fallback => FALLBACK,
        Stretch::Lifetime => LIFETIME,
    }
}
