//! Replaces lone surrogates in a body before it is parsed: few JSON parsers accept them.

/// U+FFFD as an escape's digits.
const REPLACEMENT: &[u8; 4] = b"fffd";

/// Replaces every escape `\uXXXX` of a lone surrogate by U+FFFD, in place.
pub(in crate::engage) fn replace_lone_surrogates(body: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &body[at..]) {
        at += found;
        at += match code_unit(body, at) {
            // Another escape, such as that of a backslash.
            None => 2,
            Some(0xD800..=0xDBFF) if matches!(code_unit(body, at + 6), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                body[at + 2..at + 6].copy_from_slice(REPLACEMENT);
                6
            }
            Some(_) => 6,
        };
        if at >= body.len() {
            return;
        }
    }
}

/// The UTF-16 code unit of the escape at that index.
fn code_unit(body: &[u8], at: usize) -> Option<u16> {
    let escape = body.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | u16::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lone_surrogates_are_replaced() {
        for (written, expected) in [
            (r#""""#, r#""""#),
            (r#""abc""#, r#""abc""#),
            (r#""\ud800""#, r#""\ufffd""#),
            (r#""\uDFFF""#, r#""\ufffd""#),
            (r#""a\ud83eb""#, r#""a\ufffdb""#),
            (r#""\ud83e\udd8a""#, r#""\ud83e\udd8a""#),
            (r#""\ud83e\ud83e\udd8a""#, r#""\ufffd\ud83e\udd8a""#),
            (r#""\udd8a\ud83e""#, r#""\ufffd\ufffd""#),
            (r#""\ud83e\u0041""#, r#""\ufffd\u0041""#),
            (r#""\ud83e\n\udd8a""#, r#""\ufffd\n\ufffd""#),
            (r#""\\ud800""#, r#""\\ud800""#),
            (r#""\\\ud800""#, r#""\\\ufffd""#),
            (r#""\\\\ud800""#, r#""\\\\ud800""#),
            (r#""\"\ud800\"""#, r#""\"\ufffd\"""#),
            (r#"{"\ud800":["\udc00"]}"#, r#"{"\ufffd":["\ufffd"]}"#),
            // Not JSON: unchanged here, refused by the parser.
            (r#""\ud80"#, r#""\ud80"#),
            (r"\", r"\"),
            (r"\u", r"\u"),
        ] {
            let mut body = written.as_bytes().to_vec();
            replace_lone_surrogates(&mut body);
            assert_eq!(String::from_utf8_lossy(&body), expected, "{written}");
        }
    }
}
