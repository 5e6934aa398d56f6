//! Tests of the simulator over real HTTP.

mod control;
mod faults;
mod harness;
mod history;
mod holds;
mod identifiers;
mod lag;
mod parts;
mod records;
mod refusals;
mod seeding;
mod webhooks;
