//! Checks of the log's filter. In `tracing`'s syntax any word is a valid module name, so a misspelt level would silence
//! the log without an error.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, mistakes::Mistakes, spelling::most_alike};

const KEY: &str = "telemetry.log";

/// The levels, each with the words that other programs use for it.
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

/// The first segment of the targets of this crate's events.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// The second segment of those targets: the modules of the library, the audit, and `process`, which belongs to the
/// program.
const MODULES: [&str; 18] = [
    "app",
    "audit",
    "cache",
    "clock",
    "config",
    "customer",
    "domain",
    "engage",
    "http",
    "json",
    "metrics",
    "process",
    "rate",
    "shared_tier",
    "telemetry",
    "threads",
    "traces",
    "webhook",
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

    /// Whether the filter drops alarms of level `warn`.
    pub(super) fn logs_errors_alone(&self) -> bool {
        let directives = self.telemetry.log.split(',');
        let directives: Vec<_> = directives
            .filter_map(|one| Directive::parse(one).ok())
            .collect();
        lowest_level(&directives) < LevelFilter::WARN
    }
}

/// What is wrong, and the remedy.
type LogFault = (&'static str, String);

/// A level for all targets, or for those with a prefix.
struct Directive<'a> {
    target: &'a str,
    level: LevelFilter,
    scope: DirectiveScope,
}

/// Which events of its target a directive applies to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DirectiveScope {
    /// All events.
    All,
    /// Events with certain fields: `target[{field}]=level`. Outranks a directive for all events.
    WithFields,
    /// Events within a span, or with certain values: such a directive can show events, not hide them.
    WithinSpan,
}

impl<'a> Directive<'a> {
    fn parse(text: &'a str) -> Result<Self, LogFault> {
        if text.is_empty() {
            let remedy = "remove the comma, or give another directive";
            return Err(("has nothing before or after a comma", remedy.to_owned()));
        }
        if text.trim() != text {
            let remedy = "remove them: they would be part of a name";
            return Err(("has spaces around a comma", remedy.to_owned()));
        }
        if let Some((target, rest)) = text.split_once('[') {
            let (span, level) = rest.rsplit_once("]=").ok_or_else(|| no_level(None))?;
            let level = level_of(level)?;
            check_target(target)?;
            let has_name = !span.is_empty() && !span.starts_with('{');
            return Ok(Self {
                target,
                level,
                scope: if has_name || span.contains('=') {
                    DirectiveScope::WithinSpan
                } else {
                    DirectiveScope::WithFields
                },
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
            scope: DirectiveScope::All,
        })
    }
}

fn level_of(text: &str) -> Result<LevelFilter, LogFault> {
    let text = text.to_ascii_lowercase();
    let is_level = LEVELS.iter().any(|(level, _)| *level == text);
    match text.parse() {
        Ok(level) if is_level => Ok(level),
        _ => Err(no_level(level_meant(&text))),
    }
}

/// The level that a synonym or a misspelling stands for.
fn level_meant(text: &str) -> Option<&'static str> {
    let is_synonym = |(_, others): &&(&str, &[&str])| others.contains(&text);
    let synonym = LEVELS.iter().find(is_synonym).map(|(level, _)| *level);
    synonym.or_else(|| most_alike(text, LEVELS.iter().map(|(level, _)| *level)))
}

fn no_level(meant: Option<&str>) -> LogFault {
    let levels: Vec<_> = LEVELS.iter().map(|(level, _)| *level).collect();
    let levels = levels.join(", ");
    let remedy = match meant {
        Some(meant) => format!("did you mean \"{meant}\"? The levels are {levels}"),
        None => format!("give one of {levels}, or pairs such as \"info,{OURS}=debug\""),
    };
    ("has no valid level", remedy)
}

/// Checks a target: the modules of this crate are known, those of libraries are not.
fn check_target(target: &str) -> Result<(), LogFault> {
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
    let is_misspelt = first != OURS && most_alike(first, [OURS].into_iter()).is_some();
    if is_misspelt && !OURS.starts_with(first) {
        let remedy = format!("did you mean \"{OURS}\"?");
        return Err(("names a target that logs nothing", remedy));
    }
    Ok(())
}

/// Refuses a filter that drops every event of the service or of one of its modules.
fn silenced(directives: &[Directive<'_>]) -> Option<LogFault> {
    (lowest_level(directives) == LevelFilter::OFF).then(|| {
        let remedy =
            format!("give at least \"error\" for all or for {OURS}, such as \"info,hyper=off\"");
        (
            "turns off events of the service or of one of its modules, which may be alarms",
            remedy,
        )
    })
}

/// The lowest level in force for any module of this crate.
fn lowest_level(directives: &[Directive<'_>]) -> LevelFilter {
    let of = |name: &str| {
        let applies =
            |one: &&Directive<'_>| one.scope == DirectiveScope::All && name.starts_with(one.target);
        let most_specific = directives
            .iter()
            .filter(applies)
            .max_by_key(|one| one.target.len());
        most_specific.map_or(LevelFilter::OFF, |one| one.level)
    };
    let below = directives.iter().filter(|one| match one.scope {
        DirectiveScope::All => one.target.starts_with(OURS),
        // Alarms have fields.
        DirectiveScope::WithFields => one.target.starts_with(OURS) || OURS.starts_with(one.target),
        DirectiveScope::WithinSpan => false,
    });
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
    fn modules_are_those_of_library_audit_and_program() {
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
