//! What operators see of calls to Engage.

use crate::{
    engage::Admission,
    http::{BreakerStatus, BudgetStatus, UpstreamStatus},
};

/// The state of calls to Engage, for the readiness detail.
pub(super) fn status(admission: &Admission) -> UpstreamStatus {
    let snapshot = admission.snapshot();
    let breakers = snapshot.breakers.iter();
    let breakers = breakers.map(|(group, state, refuses_for)| BreakerStatus {
        group: group.as_str(),
        state: state.as_str(),
        refuses_for_seconds: refuses_for.map(|wait| wait.as_secs_f64()),
    });
    UpstreamStatus {
        in_flight: snapshot.in_flight,
        queued: snapshot.queued,
        paused_for_seconds: snapshot.paused_for.map(|wait| wait.as_secs_f64()),
        budget: snapshot.shared_budget.map(|budget| BudgetStatus {
            mode: if budget.is_shared {
                "shared"
            } else {
                "own share"
            },
            replicas: budget.replicas,
        }),
        breakers: breakers.collect(),
    }
}
