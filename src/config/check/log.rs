//! The log's filter, in `tracing`'s syntax, which takes any word for a module: a misspelt level would silence everything.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, mistakes::Mistakes, spelling::most_alike};

const KEY: &str = "telemetry.log";

/// The levels, each with the words that other programs have for it.
const LEVELS: [(&str, &[&str]); 6] = [
    ("off", &["none", "silent", "quiet"]),
    ("error", &["err", "fatal", "critical", "severe"]),
    ("warn", &["warning", "warnings"]),
    (
        "info",
        &["information", "informational", "notice", "normal"],
    ),
    ("debug", &["verbose", "fine", "debugging"]),
    ("trace", &["all", "finest", "silly", "everything"]),
];

/// This crate, as its events name it.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// What stands behind it in the targets of its events: its modules, the audit, and
/// what is compiled into the program alone.
const MODULES: [&str; 13] = [
    "app",
    "audit",
    "cache",
    "clock",
    "config",
    "customer",
    "domain",
    "engage",
    "http",
    "process",
    "rate",
    "telemetry",
    "threads",
];

impl Config {
    pub(super) fn check_log(&self, mistakes: &mut Mistakes) {
        let filter = &self.telemetry.log;
        let checked = filter
            .split(',')
            .map(Directive::parse)
            .collect::<Result<Vec<_>, _>>();
        let fault = match checked {
            Err(fault) => Some(fault),
            Ok(_) if EnvFilter::try_new(filter).is_err() => Some(no_level(None)),
            Ok(directives) => silenced(&directives),
        };
        if let Some((what, remedy)) = fault {
            mistakes.add(KEY, what, remedy);
        }
    }

    /// Whether alarms of the level `warn` are left out.
    pub(super) fn logs_errors_alone(&self) -> bool {
        let directives = self.telemetry.log.split(',');
        let directives: Vec<_> = directives
            .filter_map(|one| Directive::parse(one).ok())
            .collect();
        least_of_ours(&directives) < LevelFilter::WARN
    }
}

/// What is wrong, and what to do.
type Fault = (&'static str, String);

/// One level, for all or for what a target's name begins with.
struct Directive<'a> {
    target: &'a str,
    level: LevelFilter,
    /// Only adds what happens in a span.
    is_of_span: bool,
}

impl<'a> Directive<'a> {
    fn parse(text: &'a str) -> Result<Self, Fault> {
        if text.trim() != text {
            let remedy = "remove them: they would be part of a name";
            return Err(("has spaces around a comma", remedy.to_owned()));
        }
        if let Some((target, rest)) = text.split_once('[') {
            let (_, level) = rest.rsplit_once("]=").ok_or_else(|| no_level(None))?;
            let level = level_of(level)?;
            check_target(target)?;
            return Ok(Self {
                target,
                level,
                is_of_span: true,
            });
        }
        let (target, level) = text.rsplit_once('=').unwrap_or(("", text));
        let level = level_of(level)?;
        if text.contains('=') {
            check_target(target)?;
        }
        Ok(Self {
            target,
            level,
            is_of_span: false,
        })
    }
}

fn level_of(text: &str) -> Result<LevelFilter, Fault> {
    let text = text.to_ascii_lowercase();
    let is_level = LEVELS.iter().any(|(level, _)| *level == text);
    match text.parse() {
        Ok(level) if is_level => Ok(level),
        _ => Err(no_level(level_meant(&text))),
    }
}

/// The level that another word may have been meant for.
fn level_meant(text: &str) -> Option<&'static str> {
    let is_synonym = |(_, others): &&(&str, &[&str])| others.contains(&text);
    let synonym = LEVELS.iter().find(is_synonym).map(|(level, _)| *level);
    synonym.or_else(|| most_alike(text, LEVELS.iter().map(|(level, _)| *level)))
}

fn no_level(meant: Option<&str>) -> Fault {
    let levels: Vec<_> = LEVELS.iter().map(|(level, _)| *level).collect();
    let levels = levels.join(", ");
    let remedy = match meant {
        Some(meant) => format!("did you mean \"{meant}\"? The levels are {levels}"),
        None => format!("give one of {levels}, or pairs such as \"info,{OURS}=debug\""),
    };
    ("has no valid level", remedy)
}

/// Of libraries nothing is known; of this crate all modules are.
fn check_target(target: &str) -> Result<(), Fault> {
    let (first, rest) = target.split_once("::").unwrap_or((target, ""));
    let module = rest.split("::").next().unwrap_or_default();
    if first == OURS && !module.is_empty() && !MODULES.contains(&module) {
        let remedy = match most_alike(module, MODULES.into_iter()) {
            Some(meant) => format!("did you mean \"{OURS}::{meant}\"?"),
            None => format!("its modules are {}", MODULES.join(", ")),
        };
        return Err(("names a module that the service does not have", remedy));
    }
    if target.is_empty() {
        return Err(no_level(None));
    }
    let is_nearly_ours = first != OURS && most_alike(first, [OURS].into_iter()).is_some();
    if is_nearly_ours && !OURS.starts_with(first) {
        let remedy = format!("did you mean \"{OURS}\"?");
        return Err(("names a target that logs nothing", remedy));
    }
    Ok(())
}

/// Alarms are to be seen whatever else is not.
fn silenced(directives: &[Directive<'_>]) -> Option<Fault> {
    (least_of_ours(directives) == LevelFilter::OFF).then(|| {
        let remedy =
            format!("give at least \"error\" for all or for {OURS}, such as \"info,hyper=off\"");
        ("silences the service's alarms", remedy)
    })
}

/// The least that is logged of any module of ours.
fn least_of_ours(directives: &[Directive<'_>]) -> LevelFilter {
    let of = |name: &str| {
        let applies = |one: &&Directive<'_>| !one.is_of_span && name.starts_with(one.target);
        let most_special = directives
            .iter()
            .filter(applies)
            .max_by_key(|one| one.target.len());
        most_special.map_or(LevelFilter::OFF, |one| one.level)
    };
    let below = directives
        .iter()
        .filter(|one| one.target.starts_with(OURS) && !one.is_of_span);
    let least = below
        .map(|one| one.level)
        .min()
        .unwrap_or(LevelFilter::TRACE);
    least.min(of(OURS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_are_those_of_the_crate_the_audit_and_the_program() {
        let declared = include_str!("../../lib.rs").lines();
        let declared = declared
            .map(|line| line.strip_prefix("pub ").unwrap_or(line))
            .filter_map(|line| line.strip_prefix("mod "));
        let declared = declared.map(|name| name.trim_end_matches(';'));
        let audit = crate::telemetry::AUDIT.strip_prefix("engage_bff::");
        let mut known: Vec<_> = declared.chain(audit).chain(["process"]).collect();
        known.sort_unstable();
        assert_eq!(known, MODULES);
    }
}
