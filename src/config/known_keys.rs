//! The names of all keys, those without a default too, as `config/default.toml` lists them.

/// Every key with its default or, commented out, an example; compiled into the binary.
pub(super) const TEXT: &str = include_str!("../../config/default.toml");

/// A section, such as `auth.jwt`, and the name of a key in it. Clients' keys are left out: they are not in a section.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut section = None;
    TEXT.lines().filter_map(move |line| {
        let line = line.trim_start_matches(['#', ' ']);
        if let Some(header) = line.strip_prefix('[') {
            let name = header.split(']').next().unwrap_or_default();
            section = (!name.starts_with('[')).then_some(name);
            return None;
        }
        let (key, _) = line.split_once(" = ")?;
        let is_key = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        key.bytes().all(is_key).then_some((section?, key))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn keys_with_and_without_a_default_are_listed() {
        let all: Vec<_> = super::all().collect();
        for known in [
            ("server", "listen"),
            ("engage", "api_key"),
            ("engage", "base_url"),
            ("auth", "allow_anonymous"),
            ("auth.jwt", "jwks_file"),
            ("views.full", "attributes"),
            ("telemetry", "digest_key_file"),
        ] {
            assert!(all.contains(&known), "{known:?}");
        }
        assert!(!all.iter().any(|(_, key)| *key == "key_sha256"), "{all:?}");
    }
}
