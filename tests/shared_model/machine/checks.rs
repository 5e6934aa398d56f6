//! The checks of answers, and those at the end.

use std::{collections::HashMap, io, mem, sync::PoisonError, time::Duration};

use engage_bff::clock::Tick;
use jiff::Timestamp;

use super::{Machine, PendingNotice, Read};
use crate::{
    engage::{CONTACTS, PARTS, read_label},
    http::Response,
    ops::REPLICAS,
    oracle::{BUDGET_PAUSE, CheckResult, RECOVERY, demand},
    replicas::{FALLBACK, PATIENCE},
};

impl Machine {
    /// Checks the responses since the last check.
    pub(super) fn check_answers(&mut self) -> CheckResult {
        let done = {
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            mem::take(&mut *done)
        };
        for (number, response) in done {
            let read = self.reads.iter().position(|read| read.number == number);
            if let Some(read) = read {
                let read = self.reads.remove(read);
                self.check_read(&read, response)?;
                continue;
            }
            let notice = self
                .notices
                .iter()
                .position(|notice| notice.number == number);
            if let Some(notice) = notice {
                let notice = self.notices.remove(notice);
                self.check_notice(&notice, response)?;
            }
        }
        Ok(())
    }

    fn check_notice(
        &mut self,
        notice: &PendingNotice,
        response: io::Result<Response>,
    ) -> CheckResult {
        let response = response.map_err(|error| {
            let text = format!("broken promise S6: {} ended: {error}", notice.text);
            proptest::test_runner::TestCaseError::fail(text)
        })?;
        let is_local = response.status == 503;
        demand!(
            response.status == 204 || is_local,
            "S6",
            "{} was answered with {response:?}",
            notice.text
        );
        let may_fail = notice.is_troubled || self.is_troubled(notice.replica);
        demand!(
            !is_local || may_fail,
            "S2",
            "{} was answered with {response:?}, and nothing troubles the tier",
            notice.text
        );
        if notice.is_wide {
            self.oracle.lost();
            if is_local {
                self.oracle.owes();
            }
        }
        let now = self.now();
        let origin = notice.incarnation;
        self.oracle
            .acknowledged(&self.engage, notice.floors, is_local, origin, now);
        if notice.is_troubled {
            self.oracle.lost();
        }
        Ok(())
    }

    fn check_read(&self, read: &Read, response: io::Result<Response>) -> CheckResult {
        let now = self.now();
        let was_held = self.last_held.is_some_and(|last| last >= read.sent);
        let excused = was_held
            || self.engage.is_held()
            || self.may_lack_budget(read)
            || self.excused_until.is_some_and(|until| read.sent < until);
        let response = response.map_err(|error| {
            let text = format!("broken promise S6: {} ended: {error}", read.text);
            proptest::test_runner::TestCaseError::fail(text)
        })?;
        if response.status != 200 {
            demand!(
                excused && matches!(response.status, 502..=504),
                "S6",
                "{} was answered at {:?} with {response:?}",
                read.text,
                now.since(self.began)
            );
            return Ok(());
        }
        let body = &response.body;
        let id = body["contactId"].as_str();
        demand!(
            id == Some(self.engage.id(read.contact)),
            "P1",
            "{} returned {id:?}",
            read.text
        );
        for (index, part) in PARTS.into_iter().enumerate() {
            let is_degraded = body["degraded"]
                .as_array()
                .is_some_and(|parts| parts.iter().any(|name| name == part.as_str()));
            let Some((contact, version)) = read_label(body, part) else {
                demand!(
                    is_degraded && excused,
                    "S6",
                    "{}: {part:?} is missing in {body}",
                    read.text
                );
                continue;
            };
            demand!(
                contact == read.contact,
                "P1",
                "{}: {part:?} of contact {contact}",
                read.text
            );
            let (floor, promise) = read.floors[index];
            let history = self.engage.ended(contact, part, version);
            let text = format!(
                "{}: {part:?} has version {version}, which ended at {:?}; {floor} is demanded",
                read.text,
                history.map(|tick| tick.since(self.began))
            );
            match promise {
                "S2" => demand!(
                    version >= floor,
                    "S2",
                    "{text}, of a replica that is cut off"
                ),
                "P2" => demand!(version >= floor, "P2", "{text}, by its age"),
                _ => demand!(version >= floor, "S3", "{text}, after an invalidation"),
            }
            if let Some((fresh, floor)) = read.fresh
                && fresh == index
                && !is_degraded
            {
                demand!(
                    version >= floor,
                    "P4",
                    "{text}, and {floor} as it was read fresh"
                );
            }
        }
        Ok(())
    }

    /// Whether the tier failed so recently that no call could be made within the replica's share of the budget.
    fn may_lack_budget(&self, read: &Read) -> bool {
        let health = &self.health[read.replica];
        let passed = |since: Option<Tick>| since.is_some_and(|it| it + BUDGET_PAUSE <= read.sent);
        self.case.has_tier && !passed(health.calm_since) && !passed(health.dark_since)
    }

    /// Ends all faults. Every read must be answered, and every replica, and a new one, must serve what it may.
    pub(super) async fn finish(&mut self) -> CheckResult {
        self.settle().await?;
        self.release_engage();
        self.engage.simulator.clear_faults();
        self.standin.clear_faults();
        self.tier_is_faulty = false;
        self.tier_is_dark = false;
        for replica in 0..REPLICAS {
            self.deafen(replica, false);
            self.cut[replica] = false;
            if let Some(connection) = &self.replicas[replica].connection {
                connection.cut(false);
            }
        }
        self.note_troubles();
        self.pass(PATIENCE + Duration::from_secs(1)).await?;
        demand!(
            self.reads.is_empty() && self.notices.is_empty(),
            "S6",
            "no answer: {:?}",
            self.reads.iter().map(|read| &read.text).collect::<Vec<_>>()
        );
        self.pass(RECOVERY).await?;
        // Before a new replica replays the stream and treats its entries as new.
        self.check_calls()?;
        // A new replica comes first: it uses the data in the tier.
        let (replica, health) = self.start_replica(false).await;
        self.replicas.push(replica);
        self.health.push(health);
        self.cut.push(false);
        self.deaf.push(false);
        self.pass(Duration::from_secs(2)).await?;
        for replica in (0..=REPLICAS).rev() {
            for contact in 0..CONTACTS {
                for by_email in [true, false] {
                    self.read(replica, contact, by_email, None);
                    self.pass(Duration::from_millis(20)).await?;
                }
            }
        }
        self.pass(PATIENCE).await?;
        demand!(self.reads.is_empty(), "S6", "a read at the end hangs");
        let unexpected = self.engage.simulator.unexpected();
        demand!(
            unexpected.is_empty(),
            "P1",
            "unexpected calls: {unexpected:?}"
        );
        Ok(())
    }

    /// S1: if nothing fails and nothing is invalidated, each call is made once while its response is fresh.
    fn check_calls(&self) -> CheckResult {
        if !self.case.is_calm || self.was_disturbed || !self.case.has_tier {
            return Ok(());
        }
        let mut last: HashMap<String, Timestamp> = HashMap::new();
        // The first deliveries invalidate parts that have not been read yet.
        for call in self.engage.simulator.log() {
            let target = format!("{}?{:?}", call.path, call.query);
            if let Some(before) = last.insert(target.clone(), call.at) {
                let passed = Duration::try_from(call.at.duration_since(before));
                let passed = passed.unwrap_or_default();
                // Data may be refreshed in the last tenth of its lifetime.
                demand!(
                    passed + Duration::from_secs(4) >= FALLBACK,
                    "S1",
                    "{target} was called at {before}, and {passed:?} later again"
                );
            }
        }
        Ok(())
    }
}
