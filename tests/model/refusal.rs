//! Whether the service may give no answer: only for a reason that lies in the world, in Engage, or in
//! the question.

use engage_bff::{clock::Tick, customer::Error, domain::Part, engage};

use crate::{
    exchange::{Target, Wire},
    model::{Caller, MAX_BACK_OFF, Model, NEGATIVE_LIFETIME, Verdict, demand},
    world::{Alias, World},
};

/// What else is known when no answer is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    /// Whether calls may have to wait, or are not made.
    pub(crate) frugal: bool,
    pub(crate) now: Tick,
}

/// Whether there is a reason for giving no answer.
pub(crate) fn check_refusal(
    model: &Model,
    world: &World,
    wire: &Wire,
    caller: &Caller,
    error: &Error,
    circumstances: Circumstances,
) -> Verdict {
    let now = circumstances.now;
    let query = &caller.query;
    let changed = world.now().since >= caller.arrival.tick && world.change() > caller.change;
    let disturbed = changed || model.last_news > caller.arrival;
    match error {
        Error::Damaged => {
            return Err(proptest::test_runner::TestCaseError::fail(
                "nothing damages what is held",
            ));
        }
        Error::NotCached => {
            demand!(
                query.only_if_cached,
                "P2",
                "nobody asked for what is held only"
            );
        }
        Error::TooLate => {
            demand!(
                now >= query.deadline || disturbed,
                "P5",
                "the caller was given up before its time"
            );
        }
        Error::Upstream(error) => match error {
            engage::Error::NotFound | engage::Error::MultipleMatches => {
                check_negative(model, world, wire, caller, error, now)?;
            }
            engage::Error::IdentityMismatch => {
                // What it was found by may lag, and it is remembered.
                let window = 2 * MAX_BACK_OFF + model.overview_lag();
                let changed = changed || now.since(world.now().since) < window;
                demand!(
                    changed || failed_lately(wire, caller, now),
                    "P1",
                    "nothing moved, and yet {error}"
                );
            }
            engage::Error::Overloaded | engage::Error::OverBudget { .. } => {
                demand!(
                    circumstances.frugal,
                    "P7",
                    "the budget is large, and yet {error}"
                );
            }
            engage::Error::Overtaken | engage::Error::Lost | engage::Error::Rejected { .. } => {
                demand!(false, "P6", "a caller was told that {error}");
            }
            // Nobody asks Engage before the time that it named.
            engage::Error::RateLimited { .. } if circumstances.frugal => {}
            error if error.is_about_the_call() => demand!(
                failed_lately(wire, caller, now),
                "P10",
                "Engage did not fail lately, and yet {error}"
            ),
            _ => {
                let faulty = wire.last_fault.is_some_and(|fault| fault > caller.arrival);
                demand!(faulty, "P10", "Engage did not fail since, and yet {error}");
            }
        },
    }
    Ok(())
}

/// Whether a call failed since the caller came, or so that its failure is still remembered.
fn failed_lately(wire: &Wire, caller: &Caller, now: Tick) -> bool {
    wire.last_fault.is_some_and(|fault| {
        let remembered = now.since(fault.tick) < MAX_BACK_OFF && !caller.finds_it_off;
        fault > caller.arrival || remembered
    })
}

/// "Nobody" and "several" need a call that said so, lately and after the last word about contacts;
/// "nobody" also stands for a contact of another type.
fn check_negative(
    model: &Model,
    world: &World,
    wire: &Wire,
    caller: &Caller,
    error: &engage::Error,
    now: Tick,
) -> Verdict {
    let who = caller.who;
    let was_told = wire.calls.iter().any(|call| {
        let about = match call.target {
            Target::Overview(asked) | Target::Resolution(asked) => {
                asked == who || matches!(asked.name, Alias::Id(_))
            }
            Target::Entity(_, part) => part == Part::Profile,
        };
        let said = call
            .content
            .as_ref()
            .is_some_and(|content| content.answer.as_ref().is_err_and(|said| said == error));
        let remembered = now.since(call.start.tick) < NEGATIVE_LIFETIME;
        let heard = call
            .answered
            .is_some_and(|answered| answered > caller.arrival);
        let lately = heard || (remembered && !caller.finds_it_off);
        about && said && lately && call.start > model.negatives_ended
    });
    let another_type = who
        .kind
        .is_some_and(|kind| world.now().people.iter().any(|person| person.kind != kind));
    demand!(
        was_told || (*error == engage::Error::NotFound && another_type),
        "P3",
        "no call said lately that of {who:?} {error}"
    );
    Ok(())
}
