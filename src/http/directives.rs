//! The directives of a request's `Cache-Control` (RFC 9111, 5.2.1). They are ignored from callers without the scope
//! `customer:fresh`, so that a browser's reload can't bypass the cache.

use std::time::Duration;

use http::{HeaderMap, header};

/// The directives that have an effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    /// Every requested part must be fresh.
    pub(super) no_cache: bool,
    /// The greatest accepted age.
    pub(super) max_age: Option<Duration>,
    /// Only a cached response is accepted.
    pub(super) only_if_cached: bool,
    /// `stale-if-error=0`: an error is preferred to stale data.
    pub(super) no_stale_if_error: bool,
}

impl Directives {
    /// The directives of a request. Unknown ones are ignored. Of a repeated one the last counts; a malformed one counts
    /// as absent.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        let values = headers.get_all(header::CACHE_CONTROL).iter();
        let parts = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        for part in parts {
            let (name, argument) = part.split_once('=').unwrap_or((part, ""));
            let argument = argument.trim().trim_matches('"');
            match &*name.trim().to_ascii_lowercase() {
                "no-cache" => directives.no_cache = true,
                "only-if-cached" => directives.only_if_cached = true,
                "max-age" => {
                    directives.max_age = argument.parse().ok().map(Duration::from_secs);
                }
                "stale-if-error" => directives.no_stale_if_error = argument == "0",
                _ => {}
            }
        }
        directives
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn known_directives_are_read_and_others_ignored() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::CACHE_CONTROL,
            HeaderValue::from_static("Max-Age=10, no-transform"),
        );
        headers.append(
            header::CACHE_CONTROL,
            HeaderValue::from_static("ONLY-IF-CACHED,stale-if-error=0"),
        );
        let expected = Directives {
            no_cache: false,
            max_age: Some(Duration::from_secs(10)),
            only_if_cached: true,
            no_stale_if_error: true,
        };
        assert_eq!(Directives::from_headers(&headers), expected);
    }
}
