//! When a response is compressed, and which form is sent.

use std::time::Duration;

use super::*;
use crate::{customer::view::View, domain::PartSet};

fn of_body(length: usize) -> Rendered {
    let shape = Shape {
        view: View::Full,
        channel: None,
        requested: PartSet::ALL,
        expiring_within: Duration::ZERO,
    };
    let body = Body {
        json: vec![b'x'; length],
        without_freshness: length,
        changes_at: Timestamp::MAX,
    };
    Rendered::new(shape, body, Timestamp::UNIX_EPOCH)
}

#[tokio::test]
async fn answers_from_one_kibibyte_are_compressed_once_in_the_background() {
    for (length, is_compressed) in [(10, false), (1023, false), (1024, true), (5000, true)] {
        let answer = Arc::new(of_body(length));
        answer.made_ready();
        assert_eq!(answer.is_compressible(), is_compressed, "{length}");
        assert!(answer.gzip().is_none(), "{length}");
        // Lets the only background task run.
        tokio::task::yield_now().await;
        let Some(gzip) = answer.gzip() else {
            assert!(!is_compressed, "{length}");
            continue;
        };
        assert!(is_compressed && gzip.len() < 100, "{length}");
        assert_eq!(
            answer.gzip().map(|again| again.as_ptr()),
            Some(gzip.as_ptr())
        );
    }
}

#[tokio::test]
async fn only_a_kept_response_is_compressed() {
    let answer = Arc::new(Rendered {
        gzip_is_due: AtomicBool::new(false),
        ..of_body(5000)
    });
    let requested = async || {
        let gzip = answer.gzip().is_some();
        tokio::task::yield_now().await;
        gzip
    };
    assert_eq!([requested().await, requested().await], [false, false]);
    answer.made_ready();
    assert_eq!([requested().await, requested().await], [false, true]);
}

#[test]
fn answer_weighs_both_its_forms() {
    let expected = size_of::<Rendered>() + 3000 + 1000;
    assert_eq!(of_body(3000).bytes(), expected);
}
