//! A webhook at every moment of a running fetch, for a change at every moment before it: the old answer is never served
//! after the webhook was answered, nor left behind.

use engage_simulator::{Endpoint, VoucherSeed};
use serde_json::Value;

use super::{
    ALVA, Answer, Duration, LAG, TestApp, assert_taken, by_email, deliver, json, with_secret,
};
use crate::harness::{TELLS_POINTS, arrive};

const VOUCHER: &str = "8d31c000-2009-4c22-b002-b2d200c00009";
const PROMOTION: &str = "7c20b000-1009-4b11-a001-b2d100b00009";

/// An event, the change that it tells of, and whether an answer shows it.
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

/// The moments of a cold question: before it, while the overview is in the air, while the points are, and after it.
const MOMENTS: usize = 4;

/// What happens at a moment: the change, the webhook, or both in that order.
async fn pass(app: &TestApp, case: &Case, moment: usize, change_at: usize, told_at: usize) {
    if moment == change_at {
        (case.change)(app);
    }
    if moment == told_at {
        assert_taken(&deliver(app, case.event, ALVA.id).await);
    }
}

#[tokio::test]
async fn a_webhook_at_any_moment_of_a_fetch_leaves_nothing_old_behind() {
    for case in cases() {
        for told_at in 0..MOMENTS {
            for change_at in 0..=told_at {
                let app = TestApp::with(with_secret).await;
                app.engage.set_overview_lag(LAG);
                let overview = app.engage.hold(Endpoint::Overview);
                let points = app.engage.hold(Endpoint::PointAccounts);
                pass(&app, &case, 0, change_at, told_at).await;
                let waiting = app.ask(&by_email());
                app.engage.wait_for_calls(Endpoint::Overview, 1).await;
                pass(&app, &case, 1, change_at, told_at).await;
                overview.release();
                if TELLS_POINTS {
                    arrive().await;
                } else {
                    app.engage.wait_for_calls(Endpoint::PointAccounts, 1).await;
                }
                pass(&app, &case, 2, change_at, told_at).await;
                points.release();
                let first = waiting.await.expect("an answer");
                first.assert_ok();
                pass(&app, &case, 3, change_at, told_at).await;
                let place = format!("{}: changed at {change_at}, told at {told_at}", case.event);
                // In v2 the whole answer comes with the overview.
                let was_answered = told_at == 3 || (TELLS_POINTS && told_at == 2);
                if !was_answered {
                    assert!((case.is_new)(&first), "{place}: {}", first.text());
                }
                assert_stays_new(&app, &case, &place).await;
            }
        }
    }
}

/// Now, as a hit, and whenever it is asked for again while the overview lags.
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
async fn a_webhook_at_any_moment_of_a_refill_leaves_nothing_old_behind() {
    for case in cases() {
        for holds_answer in [true, false] {
            for changed_first in [true, false] {
                let app = TestApp::with(with_secret).await;
                app.engage.set_overview_lag(LAG);
                app.get(&by_email()).await.assert_ok();
                // The refill of an event before.
                assert_taken(&deliver(&app, case.event, ALVA.id).await);
                let hold = if holds_answer {
                    app.engage.hold(Endpoint::All)
                } else {
                    app.engage.hold_before(Endpoint::All)
                };
                if changed_first {
                    (case.change)(&app);
                }
                let calls = app.engage.total_calls();
                let waiting = app.ask(&by_email());
                app.engage.wait_for_calls(Endpoint::All, calls + 1).await;
                if !changed_first {
                    (case.change)(&app);
                }
                assert_taken(&deliver(&app, case.event, ALVA.id).await);
                let later = app.ask(&by_email());
                arrive().await;
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
