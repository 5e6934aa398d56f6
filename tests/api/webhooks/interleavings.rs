//! A webhook at every point of a running fetch, for a change at the same or an earlier point: the old data is neither
//! served after the webhook was acknowledged nor left in the cache.

use engage_simulator::{Endpoint, VoucherSeed};
use serde_json::Value;

use super::{
    ALVA, Answer, Duration, LAG, TestApp, assert_accepted, by_email, deliver, json, with_secret,
};
use crate::harness::{OVERVIEW_HAS_POINTS, let_requests_arrive};

const VOUCHER: &str = "8d31c000-2009-4c22-b002-b2d200c00009";
const PROMOTION: &str = "7c20b000-1009-4b11-a001-b2d100b00009";

/// An event, its change, and whether an answer shows it.
struct Case {
    event: &'static str,
    change: fn(&TestApp),
    is_new: fn(&Answer) -> bool,
}

fn cases() -> [Case; 5] {
    [
        Case {
            event: "contact.updated",
            change: |app| {
                drop(
                    app.engage
                        .contact(ALVA.id)
                        .attribute("firstName", json!("Alvina")),
                );
            },
            is_new: |answer| answer.at("/profile/firstName") == "Alvina",
        },
        Case {
            event: "point.balance.updated",
            change: |app| drop(app.engage.contact(ALVA.id).points("742.25")),
            is_new: |answer| answer.at("/points/balance") == json!(742.25),
        },
        Case {
            event: "reward.voucher.created",
            change: |app| {
                let voucher = VoucherSeed::worth("75", "SEK").id(VOUCHER);
                drop(app.engage.contact(ALVA.id).points("1").add_voucher(voucher));
            },
            is_new: |answer| {
                lists(&answer.at("/vouchers"), VOUCHER) && answer.at("/points/balance") == json!(1)
            },
        },
        Case {
            event: "promotion.multichannel.assigned",
            change: |app| {
                drop(
                    app.engage
                        .contact(ALVA.id)
                        .add_promotion(json!({"id": PROMOTION})),
                );
            },
            is_new: |answer| lists(&answer.at("/promotions"), PROMOTION),
        },
        Case {
            event: "something.new.happened",
            change: |app| {
                let alva = app.engage.contact(ALVA.id).points("742.25");
                drop(alva.attribute("firstName", json!("Alvina")));
            },
            is_new: |answer| {
                answer.at("/profile/firstName") == "Alvina"
                    && answer.at("/points/balance") == json!(742.25)
            },
        },
    ]
}

fn lists(list: &Value, id: &str) -> bool {
    list.as_array()
        .is_some_and(|list| list.iter().any(|item| item["id"] == id))
}

/// The number of moments in a cold request: before it, during the overview call, during the call for points, and after
/// it.
const MOMENTS: usize = 4;

/// At the given moment, makes the change, delivers the webhook, or does both in this order.
async fn run_moment(
    app: &TestApp,
    case: &Case,
    moment: usize,
    change_at: usize,
    delivered_at: usize,
) {
    if moment == change_at {
        (case.change)(app);
    }
    if moment == delivered_at {
        assert_accepted(&deliver(app, case.event, ALVA.id).await);
    }
}

#[tokio::test]
async fn webhook_at_any_point_of_a_fetch_leaves_no_old_data() {
    for case in cases() {
        for delivered_at in 0..MOMENTS {
            for change_at in 0..=delivered_at {
                let app = TestApp::with(with_secret).await;
                app.engage.set_overview_lag(LAG);
                let overview = app.engage.hold(Endpoint::Overview);
                let points = app.engage.hold(Endpoint::PointAccounts);
                run_moment(&app, &case, 0, change_at, delivered_at).await;
                let waiting = app.spawn_get(&by_email());
                app.engage.wait_for_calls(Endpoint::Overview, 1).await;
                run_moment(&app, &case, 1, change_at, delivered_at).await;
                overview.release();
                if OVERVIEW_HAS_POINTS {
                    let_requests_arrive().await;
                } else {
                    app.engage.wait_for_calls(Endpoint::PointAccounts, 1).await;
                }
                run_moment(&app, &case, 2, change_at, delivered_at).await;
                points.release();
                let first = waiting.await.expect("an answer");
                first.assert_ok();
                run_moment(&app, &case, 3, change_at, delivered_at).await;
                let place = format!(
                    "{}: changed at {change_at}, delivered at {delivered_at}",
                    case.event
                );
                // In v2 the overview completes the answer.
                let was_answered = delivered_at == 3 || (OVERVIEW_HAS_POINTS && delivered_at == 2);
                if !was_answered {
                    assert!((case.is_new)(&first), "{place}: {}", first.text());
                }
                assert_stays_new(&app, &case, &place).await;
            }
        }
    }
}

/// Asserts that the change is visible now, a second later, and after every expiry while the overview lags.
async fn assert_stays_new(app: &TestApp, case: &Case, place: &str) {
    for step in [0, 1, 91, 91, 400] {
        app.advance(Duration::from_secs(step));
        let answer = app.get(&by_email()).await;
        assert!(
            (case.is_new)(answer.assert_ok()),
            "{place}, {step} s later: {}",
            answer.text()
        );
        assert_eq!(answer.at("/degraded"), json!([]), "{place}");
    }
}

#[tokio::test]
async fn webhook_at_any_point_of_a_refill_leaves_no_old_data() {
    for case in cases() {
        for holds_answer in [true, false] {
            for changed_first in [true, false] {
                let app = TestApp::with(with_secret).await;
                app.engage.set_overview_lag(LAG);
                app.get(&by_email()).await.assert_ok();
                // The refill after an earlier event.
                assert_accepted(&deliver(&app, case.event, ALVA.id).await);
                let hold = if holds_answer {
                    app.engage.hold(Endpoint::All)
                } else {
                    app.engage.hold_before(Endpoint::All)
                };
                if changed_first {
                    (case.change)(&app);
                }
                let calls = app.engage.total_calls();
                let waiting = app.spawn_get(&by_email());
                app.engage.wait_for_calls(Endpoint::All, calls + 1).await;
                if !changed_first {
                    (case.change)(&app);
                }
                assert_accepted(&deliver(&app, case.event, ALVA.id).await);
                let later = app.spawn_get(&by_email());
                let_requests_arrive().await;
                hold.release();
                let place = format!("{}: {holds_answer} {changed_first}", case.event);
                for answer in [waiting.await, later.await] {
                    let answer = answer.expect("an answer");
                    assert!(
                        (case.is_new)(answer.assert_ok()),
                        "{place}: {}",
                        answer.text()
                    );
                }
                assert_stays_new(&app, &case, &place).await;
            }
        }
    }
}
