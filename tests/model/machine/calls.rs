//! Responses to calls, read from the world and delivered when an event says so.

use super::{Machine, nth};
use crate::{
    exchange::{Target, lock},
    responses::{Fault, Response},
    setup,
    world::Snapshot,
};

impl Machine {
    pub(super) fn nth_pending(&self, number: usize) -> Option<usize> {
        nth(lock(&self.wire).pending(), number)
    }

    pub(super) fn read(&mut self, call: usize, quarters: u32) {
        let responder = self.responder;
        self.write(call, quarters, |target, offset, world| {
            responder.read(target, offset, world)
        });
    }

    fn write(
        &mut self,
        call: usize,
        quarters: u32,
        write: impl FnOnce(Target, usize, &Snapshot) -> Response,
    ) {
        let now = self.now();
        let mut wire = lock(&self.wire);
        let call = &mut wire.calls[call];
        let change = match call.target {
            Target::Overview(_) => {
                let lag = setup::lag(&self.case) * quarters / 4;
                self.world.as_of(now - lag)
            }
            Target::Resolution(_) | Target::Entity(..) => self.world.change(),
        };
        let world = self.world.at(change);
        call.response = Some(write(call.target, call.offset, world));
    }

    pub(super) fn answer(&mut self, call: usize) {
        let unread = lock(&self.wire).calls[call].response.is_none();
        if unread {
            self.read(call, 4);
        }
        let now = self.now();
        lock(&self.wire).deliver(call, now);
    }

    pub(super) fn answer_all(&mut self) {
        let pending: Vec<_> = lock(&self.wire).pending().collect();
        for call in pending {
            self.answer(call);
        }
    }

    pub(super) fn fail(&mut self, call: usize, fault: Fault) {
        let responder = self.responder;
        self.write(call, 0, |target, offset, world| {
            responder.fail(fault, target, offset, world)
        });
        let now = self.now();
        lock(&self.wire).deliver(call, now);
    }
}
