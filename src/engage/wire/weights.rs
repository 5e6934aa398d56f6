//! What is read, weighed by the cache and by the allocator.

use std::sync::Arc;

use allocation_counter::measure;
use jiff::tz::TimeZone;

use crate::{
    cache::Weigh,
    domain::{Digester, IdentifierRules, aliases::AliasReader},
    engage::Reader,
};

#[path = "../../../benches/shared/contacts.rs"]
#[expect(dead_code, reason = "the benchmarks ask by more names")]
mod contacts;

/// What the allocator adds to each allocation: glibc's header and rounding, on average.
const ALLOCATION: usize = 16;

fn reader() -> Reader {
    let rules = IdentifierRules {
        phone_region: phonenumber::country::SE,
        check_digits: true,
        national_id_country: None,
    };
    Reader {
        alias_reader: AliasReader {
            rules,
            custom_key: None,
            digester: Digester::with_key(b"test"),
        },
        time_zone: TimeZone::UTC,
        keeps_national_id: false,
        points_in_overview: false,
    }
}

/// What is allocated for good by what makes the value, with what the allocator adds.
fn allocated<T>(maker: impl FnOnce() -> T) -> (T, usize) {
    let mut made = None;
    let taken = measure(|| made = Some(maker()));
    let of = |count: i64| usize::try_from(count).expect("nothing is freed that was there before");
    let bytes = of(taken.bytes_current) + of(taken.count_current) * ALLOCATION;
    (made.expect("made"), bytes)
}

#[test]
fn what_parts_weigh_is_what_they_take() {
    let reader = reader();
    // What is made once for all.
    reader
        .overview(contacts::overview(0).as_bytes())
        .expect("an overview");
    let (mut weighed, mut taken) = (0, 0);
    for number in 1..200 {
        let body = contacts::overview(number);
        let ((profile, rest), bytes) = allocated(|| {
            let overview = reader.overview(body.as_bytes()).expect("an overview");
            let rest = (
                Arc::new(overview.audiences.expect("audiences").data),
                Arc::new(overview.promotions.expect("promotions").data),
                Arc::new(overview.vouchers.expect("vouchers").data),
            );
            (Arc::new(overview.profile.data), rest)
        });
        taken += bytes;
        let (audiences, promotions, vouchers) = &rest;
        weighed += profile.bytes() + audiences.bytes() + promotions.bytes() + vouchers.bytes();
    }
    let share = weighed * 100 / taken;
    assert!((93..=107).contains(&share), "{share} % of {taken}");
}
