//! Lets time pass, and records the disturbances of the replicas in the meantime.

use std::time::Duration;

use super::Machine;
use crate::{
    oracle::CheckResult,
    replicas::{ENGAGE_TIMEOUT, PATIENCE},
};

/// The steps by which time passes: small ones first, for tasks that wait only briefly.
const STEPS_MILLIS: [u64; 8] = [1, 9, 40, 50, 100, 300, 500, 1000];
/// This many steps take a second each; the rest passes at once, as when a machine is suspended.
const IN_SECONDS: usize = 32;
/// How long a failure of Engage may be in back-off.
const MEMORY: Duration = Duration::from_secs(1200);

impl Machine {
    /// Advances all clocks.
    pub(super) async fn pass(&mut self, stretch: Duration) -> CheckResult {
        self.settle().await?;
        let mut left = stretch;
        let steps = STEPS_MILLIS.iter().chain(&[1000; IN_SECONDS]);
        for step in steps.map(|millis| Duration::from_millis(*millis)) {
            let step = step.min(left);
            self.step(step).await?;
            left -= step;
            if left.is_zero() {
                return Ok(());
            }
        }
        self.step(left).await?;
        self.note_disturbance();
        Ok(())
    }

    /// The time since the beginning.
    pub(super) fn passed(&self) -> Duration {
        self.now().since(self.began)
    }

    /// Lets a moment pass, so that no two events happen at the same time. No task runs in the meantime.
    pub(super) fn tick(&mut self) {
        let moment = Duration::from_millis(1);
        self.engage.simulator.clock().advance(moment);
        self.clock.advance(moment);
    }

    async fn step(&mut self, step: Duration) -> CheckResult {
        self.note_troubles();
        self.engage.simulator.clock().advance(step);
        self.clock.advance(step);
        if self.engage.is_held() {
            self.last_held = Some(self.now());
        }
        let held = self.held_since.map(|since| self.now().since(since));
        if held.is_some_and(|held| held + PATIENCE >= ENGAGE_TIMEOUT) {
            self.excuse();
        }
        self.note_troubles();
        self.settle().await
    }

    /// Records that calls may fail from now on, and be in back-off.
    pub(super) fn excuse(&mut self) {
        self.excused_until = Some(self.now() + MEMORY);
        self.was_disturbed = true;
    }

    pub(super) fn release_engage(&mut self) {
        self.last_held = Some(self.now());
        self.held_since = None;
        self.engage.release();
    }

    /// Records that the tier was disturbed for a moment.
    pub(super) fn note_disturbance(&mut self) {
        let now = self.now();
        for health in &mut self.health {
            health.calm_since = Some(now).filter(|_| self.case.has_tier);
            health.was_calm = false;
        }
        for notice in &mut self.notices {
            notice.is_troubled = true;
        }
        self.oracle.lost();
        self.was_disturbed = true;
    }

    /// Records which replicas are disturbed.
    pub(super) fn note_troubles(&mut self) {
        let now = self.now();
        if self.tier_is_faulty || self.standin.is_disturbed() {
            self.note_disturbance();
        }
        for (replica, is_deaf) in self.deaf.iter().enumerate() {
            let is_cut = &(*is_deaf || self.cut[replica]);
            let health = &mut self.health[replica];
            if *is_cut {
                health.calm_since = Some(now).filter(|_| self.case.has_tier);
                health.was_calm = false;
                self.oracle.lost();
                self.was_disturbed = true;
                for notice in &mut self.notices {
                    notice.is_troubled |= notice.replica == replica;
                }
            }
            health.dark_since = if *is_cut || self.tier_is_dark {
                health.dark_since.or(Some(now))
            } else {
                None
            };
        }
    }

    /// Whether a replica may fail to reach the tier.
    pub(super) fn is_troubled(&self, replica: usize) -> bool {
        !self.health[replica].knows_all(self.now())
    }
}
