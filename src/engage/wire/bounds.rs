//! Bounds of values that are passed on verbatim, so that every JSON parser accepts them.

use serde_json::value::RawValue;

/// Maximum nesting of arrays and objects.
const MAX_DEPTH: usize = 32;
/// A number up to this length without an exponent is within the range of a double.
const SHORT_NUMBER: usize = 300;

/// Whether the value is not nested too deeply and every number is within the range of a double.
pub(super) fn is_bounded(value: &RawValue) -> bool {
    let bytes = value.get().as_bytes();
    let (mut at, mut depth) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at + 1),
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return false;
                }
            }
            b']' | b'}' => depth -= 1,
            b'-' | b'0'..=b'9' => {
                let end = end_of_number(bytes, at);
                if !is_in_range(&value.get()[at..end]) {
                    return false;
                }
                at = end - 1;
            }
            _ => {}
        }
        at += 1;
    }
    true
}

/// Index of the quote that ends the string.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

fn end_of_number(bytes: &[u8], from: usize) -> usize {
    let is_number_byte = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let length = bytes[from..].iter().take_while(|byte| is_number_byte(byte));
    from + length.count()
}

fn is_in_range(number: &str) -> bool {
    let is_short = number.len() <= SHORT_NUMBER && !number.contains(['e', 'E']);
    is_short || number.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_bounded(written: &str, expected: bool) {
        let value: &RawValue = serde_json::from_str(written).expect("JSON");
        assert_eq!(is_bounded(value), expected, "{written:.80}");
    }

    #[test]
    fn value_is_at_most_32_levels_deep() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
            assert_bounded(&nested(32), true);
            assert_bounded(&nested(33), false);
            assert_bounded(&nested(50_000), false);
        }
        assert_bounded(&format!("[{}1]", "[1],".repeat(100)), true);
        assert_bounded(&format!("\"{}\"", "[".repeat(100)), true);
        assert_bounded(&format!("\"\\\"{}\"", "[{".repeat(100)), true);
        assert_bounded(
            &format!("[\"\\\\\",{}{}]", "[".repeat(32), "]".repeat(32)),
            false,
        );
    }

    #[test]
    fn number_is_within_the_range_of_a_double() {
        for (written, expected) in [
            ("-0", true),
            ("12345678901234567890.12345", true),
            ("1e308", true),
            ("-1E+308", true),
            ("1e-400", true),
            ("1e309", false),
            ("[1, -1e999]", false),
            ("{\"a\": 1e999}", false),
            ("\"1e999\"", true),
        ] {
            assert_bounded(written, expected);
        }
        assert_bounded(&"9".repeat(308), true);
        assert_bounded(&"9".repeat(400), false);
    }
}
