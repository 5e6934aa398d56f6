//! Suggestions for misspelt words.

/// Words less similar than this are different words.
const ALIKE: f64 = 0.7;

/// The known word that `word` may be a misspelling of.
pub(super) fn most_alike<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let alike = |known: &str| strsim::normalized_damerau_levenshtein(word, known);
    let best = known.max_by(|one, other| alike(one).total_cmp(&alike(other)))?;
    (alike(best) >= ALIKE).then_some(best)
}
