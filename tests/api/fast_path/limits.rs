//! A request that is refused for a client's concurrency, whether or not the fast path tried it first.

use engage_simulator::{Endpoint, fixtures::BO};

use super::{Delivery, exchange, hit};
use crate::harness::{SHOP, TestApp};

#[tokio::test]
async fn request_beyond_max_concurrency_takes_nothing_of_the_rate_by_either_path() {
    for delivery in [Delivery::Whole, Delivery::InPieces] {
        let app = TestApp::with(|config| {
            let mut clients = config.auth.clients.iter_mut();
            let shop = clients.find(|client| client.id == "shop");
            let shop = shop.expect("the shop");
            (shop.max_concurrency, shop.requests_per_second) = (Some(1), Some(4));
        })
        .await;
        let status = async || exchange(&app, hit("").as_bytes(), delivery).await[9..12].to_owned();
        assert_eq!(status().await, "200");
        let calls = app.engage.calls(Endpoint::Overview);
        let hold = app.engage.hold(Endpoint::Overview);
        let waiting = app.spawn_get_as(SHOP, &format!("contactId={}", BO.id));
        app.engage
            .wait_for_calls(Endpoint::Overview, calls + 1)
            .await;
        for _ in 0..3 {
            assert_eq!(status().await, "429", "{delivery:?}");
        }
        hold.release();
        waiting.await.expect("an answer").assert_ok();
        // Of the four requests of this second, two are left.
        for expected in ["200", "200", "429"] {
            assert_eq!(status().await, expected, "{delivery:?}");
        }
        let taken = if delivery == Delivery::Whole { 2 } else { 0 };
        assert_eq!(app.fast_path_total(), taken, "{delivery:?}");
    }
}
