//! Tables of accepted and refused forms.

use super::*;

fn read(written: &str, of_day: OfDay) -> Result<Option<String>, Unreadable> {
    let value: &RawValue = serde_json::from_str(written).expect("JSON");
    let zone = TimeZone::get("Europe/Stockholm").expect("a zone");
    let moment = super::read(value, of_day, &zone)?;
    Ok(moment.map(|moment| moment.to_string()))
}

#[track_caller]
fn assert_reads(cases: &[(&str, &str)]) {
    for (written, meant) in cases {
        let quoted = format!("{written:?}");
        let found = read(&quoted, OfDay::End);
        assert_eq!(found, Ok(Some((*meant).to_owned())), "{written}");
    }
}

#[test]
fn unambiguous_times_are_read_in_every_form() {
    assert_reads(&[
        ("2026-12-31T07:12:44+01:00", "2026-12-31T06:12:44Z"),
        (" 2026-12-31T07:12:44+01:00\t", "2026-12-31T06:12:44Z"),
        ("2026-12-31T07:12:44 +01:00", "2026-12-31T06:12:44Z"),
        ("2026-12-31T07:12:44+0100", "2026-12-31T06:12:44Z"),
        ("2026-12-31T07:12:44+01", "2026-12-31T06:12:44Z"),
        ("2026-12-31T07:12:44-00:30", "2026-12-31T07:42:44Z"),
        ("2026-12-31 06:12:44Z", "2026-12-31T06:12:44Z"),
        ("2026-12-31  06:12:44 z", "2026-12-31T06:12:44Z"),
        ("2026-12-31t06:12:44z", "2026-12-31T06:12:44Z"),
        ("2026-12-31T07:12:44", "2026-12-31T06:12:44Z"),
        ("2026-12-31T07:12", "2026-12-31T06:12:00Z"),
        (
            "2026-12-31T06:12:44.1234567Z",
            "2026-12-31T06:12:44.1234567Z",
        ),
        (
            "2026-12-31T06:12:44.1234567891Z",
            "2026-12-31T06:12:44.123456789Z",
        ),
        (
            "2026-12-31T06:12:44.99999999999999999999Z",
            "2026-12-31T06:12:44.999999999Z",
        ),
        ("2026-12-31T06:12:44,5Z", "2026-12-31T06:12:44.5Z"),
        ("2026-12-31T23:59:60Z", "2026-12-31T23:59:59Z"),
        ("20261231T061244Z", "2026-12-31T06:12:44Z"),
        (
            "2026-12-31T07:12:44+01:00[Europe/Stockholm]",
            "2026-12-31T06:12:44Z",
        ),
    ]);
}

#[test]
fn hour_24_is_midnight_of_the_next_day() {
    assert_reads(&[
        ("2019-12-31T24:00:00", "2019-12-31T23:00:00Z"),
        ("2019-12-31T24:00", "2019-12-31T23:00:00Z"),
        ("2019-12-31T24:00:00.000Z", "2020-01-01T00:00:00Z"),
        ("2020-02-28T24:00:00+01:00", "2020-02-28T23:00:00Z"),
    ]);
}

#[test]
fn date_without_time_means_start_or_end_of_day() {
    for (written, begins, ends) in [
        (
            "\"2026-12-31\"",
            "2026-12-30T23:00:00Z",
            "2026-12-31T23:00:00Z",
        ),
        (
            "\"2026-03-29\"",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
        ),
        (
            "\"2026-12-31Z\"",
            "2026-12-31T00:00:00Z",
            "2027-01-01T00:00:00Z",
        ),
    ] {
        let found = [OfDay::Start, OfDay::End].map(|of_day| read(written, of_day));
        assert_eq!(
            found,
            [begins, ends].map(|meant| Ok(Some(meant.to_owned()))),
            "{written}"
        );
    }
}

#[test]
fn times_at_daylight_saving_changes_are_read() {
    assert_reads(&[
        ("2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
    ]);
}

#[test]
fn placeholders_mean_absent() {
    for written in [
        "null",
        "\"\"",
        "\" \\t\"",
        "\"0001-01-01T00:00:00\"",
        "\"0001-01-01T00:00:00Z\"",
        "\"0001-01-01\"",
        "\"0001-01-01T00:00:00+01:00\"",
        "\"9999-12-31T23:59:59\"",
        "\"9999-12-31T23:59:59.9999999\"",
        "\"9999-12-31T23:59:59.9999999Z\"",
        "\"9999-12-31\"",
        "\"9999-12-30T23:59:59-05:00\"",
    ] {
        for of_day in [OfDay::Start, OfDay::End] {
            assert_eq!(read(written, of_day), Ok(None), "{written}");
        }
    }
}

#[test]
fn ambiguous_and_invalid_times_are_unreadable() {
    for written in [
        "\"2019-02-29T12:00:00Z\"",
        "\"2019-02-29\"",
        "\"2026-04-31\"",
        "\"2026-13-01\"",
        "\"0000-00-00\"",
        "\"31/12/2026\"",
        "\"12/31/2026 12:00:00\"",
        "\"2026-12\"",
        "\"2026\"",
        "\"2026-12-31T\"",
        "\"2026-12-31T24:00:01\"",
        "\"2026-12-31T25:00:00\"",
        "\"2026-12-31T12:60:00\"",
        "\"2026-12-31T12:00:61\"",
        "\"2026-12-31T12:00:00.\"",
        "\"2026-12-31T12:00:00.1.2\"",
        "\"2026-12-31T1:00:00\"",
        "\"2026-12-31 05:00 PM\"",
        "\"2026-12-31T12:00:00 CET\"",
        "\"2026-12-31T12:00:00+1\"",
        "\"2026-12-31T12:00:00+99:00\"",
        "\"2026-12-31T12:00:00+01:00:00:00\"",
        "\"2026-12-31ä\"",
        "\"ääääää\"",
        "\"tomorrow\"",
        "1767225600",
        "20261231",
        "true",
        "false",
        "{}",
        "[\"2026-12-31\"]",
    ] {
        assert_eq!(read(written, OfDay::End), Err(Unreadable), "{written}");
    }
}

#[test]
fn only_placeholders_are_not_set() {
    for (written, expected) in [
        ("null", false),
        ("\"\"", false),
        ("\"  \"", false),
        ("\"0001-01-01T00:00:00\"", false),
        ("\"2026-11-01T00:00:00\"", true),
        ("\"9999-12-31T23:59:59\"", true),
        ("\"31/12/2026\"", true),
        ("0", true),
        ("false", true),
        ("{}", true),
    ] {
        let value: &RawValue = serde_json::from_str(written).expect("JSON");
        assert_eq!(is_set(value), expected, "{written}");
    }
}
