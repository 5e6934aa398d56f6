//! Whether a request may be refused: only for a reason in the world, in Engage or in the request.

use engage_bff::{clock::Tick, customer::Error, domain::Part, engage};

use crate::{
    exchange::{Target, Wire},
    model::{
        Caller, CheckResult, MAX_BACK_OFF, Model, NEGATIVE_LIFETIME, STALE_IF_ERROR, demand,
        lifetime,
    },
    world::{Alias, TestLookup, World},
};

/// The circumstances of a refusal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    /// Whether the budget may delay or refuse calls.
    pub(crate) small_budget: bool,
    pub(crate) now: Tick,
}

/// Whether there is a reason for the refusal.
pub(crate) fn check_refusal(
    model: &Model,
    world: &World,
    wire: &Wire,
    caller: &Caller,
    error: &Error,
    circumstances: Circumstances,
) -> CheckResult {
    let now = circumstances.now;
    let query = &caller.query;
    let changed = world.now().since >= caller.arrival.tick && world.change() > caller.change;
    let disturbed = changed || model.last_notice > caller.arrival;
    match error {
        Error::Damaged => {
            return Err(proptest::test_runner::TestCaseError::fail(
                "nothing damages what is cached",
            ));
        }
        Error::NotCached => {
            demand!(
                query.only_if_cached,
                "P2",
                "the request did not ask for a cached answer only"
            );
        }
        Error::TooLate => {
            demand!(
                now >= query.deadline || disturbed,
                "P5",
                "the request was given up before its deadline"
            );
        }
        Error::Upstream(error) => match error {
            engage::Error::NotFound | engage::Error::MultipleMatches(_) => {
                check_negative(model, world, wire, caller, error, now)?;
            }
            engage::Error::IdentityMismatch => {
                // The overview that led to the contact may lag, and the failure may be in back-off.
                let window = 2 * MAX_BACK_OFF + model.overview_lag();
                let changed = changed || now.since(world.now().since) < window;
                demand!(
                    changed || failed_recently(wire, caller, now),
                    "P1",
                    "nothing moved, and yet {error}"
                );
            }
            engage::Error::Overloaded | engage::Error::OverBudget { .. } => {
                demand!(
                    circumstances.small_budget,
                    "P7",
                    "the budget is large, and yet {error}"
                );
            }
            engage::Error::Overtaken | engage::Error::Lost | engage::Error::Rejected { .. } => {
                demand!(false, "P6", "a request was answered with: {error}");
            }
            // Engage is not called before the time that it named.
            engage::Error::RateLimited { .. } if circumstances.small_budget => {}
            error if error.is_about_the_call() => demand!(
                failed_recently(wire, caller, now),
                "P10",
                "Engage did not fail recently, and yet {error}"
            ),
            _ => {
                let faulty = wire.last_fault.is_some_and(|fault| fault > caller.arrival);
                demand!(faulty, "P10", "Engage did not fail since, and yet {error}");
            }
        },
    }
    Ok(())
}

/// Whether a call failed after the request arrived, or so recently that it is still in back-off.
fn failed_recently(wire: &Wire, caller: &Caller, now: Tick) -> bool {
    wire.last_fault.is_some_and(|fault| {
        let remembered = now.since(fault.tick) < MAX_BACK_OFF && !caller.finds_it_off;
        fault > caller.arrival || remembered
    })
}

/// Requires, for an unknown contact or an ambiguous identifier, a recent call that reported it and began after negative
/// entries were last dropped. A lookup with a type may also be refused as unknown if a contact with the identifier has
/// another type, according to a recent profile.
fn check_negative(
    model: &Model,
    world: &World,
    wire: &Wire,
    caller: &Caller,
    error: &engage::Error,
    now: Tick,
) -> CheckResult {
    let lookup = caller.lookup;
    let was_answered_so = wire.calls.iter().any(|call| {
        let (about, ended) = match call.target {
            Target::Overview(asked) | Target::Resolution(asked) => {
                let is_about = match asked.alias {
                    _ if asked == lookup => true,
                    Alias::Id(contact) => has_had(world, contact, lookup),
                    _ => false,
                };
                (is_about, model.negative_ended_at(asked))
            }
            Target::Entity(contact, part) => (
                part == Part::Profile && has_had(world, contact, lookup),
                model.negatives_ended,
            ),
        };
        let said = call
            .response
            .as_ref()
            .is_some_and(|response| response.answer.as_ref().is_err_and(|said| said == error));
        let remembered = now.since(call.start.tick) < NEGATIVE_LIFETIME;
        let is_new = call
            .answered
            .is_some_and(|answered| answered > caller.arrival);
        let is_recent = is_new || (remembered && !caller.finds_it_off);
        about && said && is_recent && call.start > ended
    });
    demand!(
        was_answered_so
            || (*error == engage::Error::NotFound && has_another_type(world, wire, caller, now)),
        "P3",
        "no recent call answered {lookup:?} with: {error}"
    );
    Ok(())
}

/// Whether a recent profile shows another type than that of the lookup, and its contact has or had the identifier.
fn has_another_type(world: &World, wire: &Wire, caller: &Caller, now: Tick) -> bool {
    let Some(kind) = caller.lookup.kind else {
        return false;
    };
    let kept = lifetime(Part::Profile) + STALE_IF_ERROR;
    wire.deliveries.iter().any(|delivery| {
        let contact = delivery.contact;
        let shown = world.at(delivery.version).contacts[contact].kind;
        let is_kept = now.since(delivery.flight.tick) < kept && !caller.finds_it_off;
        delivery.part == Part::Profile
            && shown != kind
            && (delivery.at > caller.arrival || is_kept)
            && has_had(world, contact, caller.lookup)
    })
}

/// Whether the contact has or had the identifier, with any type.
fn has_had(world: &World, contact: usize, lookup: TestLookup) -> bool {
    let of_any_type = TestLookup {
        kind: None,
        ..lookup
    };
    world.had(contact, of_any_type, Tick::default(), 0)
}
