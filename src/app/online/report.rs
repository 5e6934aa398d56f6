//! The results of `check-config --online`: a line for each check, as text or as JSON.

use std::fmt;

use serde::Serialize;

/// The width of the text, in characters.
const WIDTH: usize = 80;
/// The width of a status and the blank after it.
const STATUS_WIDTH: usize = 8;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is well.
    Ok,
    /// It works, and something should be changed.
    Warning,
    /// It does not work.
    Failed,
    /// It could not be made: not configured, not known, or another check that it depends on failed.
    Skipped,
}

impl Status {
    /// The word for it in the output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Failed => "failed",
            Status::Skipped => "skipped",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, for programs. Never changes.
    pub name: &'static str,
    /// How it ended.
    pub status: Status,
    /// What was found. Never a secret.
    pub what: String,
    /// What to do about it, for a warning or a failure.
    pub remedy: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, what: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, what.into(), None)
    }

    pub(super) fn warning(
        name: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Warning, what.into(), Some(remedy.into()))
    }

    pub(super) fn failed(
        name: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Failed, what.into(), Some(remedy.into()))
    }

    pub(super) fn skipped(name: &'static str, what: impl Into<String>) -> Self {
        Self::new(name, Status::Skipped, what.into(), None)
    }

    /// The result of a check that could not be made because of another.
    pub(super) fn skipped_after(name: &'static str, cause: &'static str) -> Self {
        Self::skipped(name, format!("{cause} failed"))
    }

    fn new(name: &'static str, status: Status, what: String, remedy: Option<String>) -> Self {
        Self {
            name,
            status,
            what,
            remedy,
        }
    }
}

/// The name of the first check that failed.
pub(super) fn first_failed(checks: &[Check]) -> Option<&'static str> {
    let failed = checks.iter().find(|check| check.status == Status::Failed);
    failed.map(|check| check.name)
}

/// The results of all checks, in the order in which they are printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OnlineReport {
    /// The results.
    pub checks: Vec<Check>,
}

impl OnlineReport {
    /// The number of checks with this result.
    pub fn count(&self, status: Status) -> usize {
        let checks = self.checks.iter();
        checks.filter(|check| check.status == status).count()
    }
}

impl OnlineReport {
    /// The checks; consecutive ones that were skipped for the same reason and whose names begin with the same word
    /// share a line.
    fn lines(&self) -> Vec<(String, &Check)> {
        let mut lines: Vec<(String, &Check)> = Vec::new();
        for check in &self.checks {
            let family = check.name.split('-').next().unwrap_or_default();
            match lines.last_mut() {
                Some((name, last))
                    if last.status == Status::Skipped
                        && last.what == check.what
                        && last.status == check.status
                        && name.starts_with(family) =>
                {
                    *name = format!("{family}-*");
                }
                _ => lines.push((check.name.to_owned(), check)),
            }
        }
        lines
    }
}

/// Columns of status, name and result, at most 80 characters wide, and a summary.
impl fmt::Display for OnlineReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.checks.iter().map(|check| check.name.len());
        let name_width = names.max().unwrap_or_default() + 2;
        let indent = STATUS_WIDTH + name_width;
        for (name, check) in self.lines() {
            let status = check.status.as_str();
            write!(f, "{status:STATUS_WIDTH$}{name:name_width$}")?;
            write_wrapped(f, &check.what, indent)?;
            if let Some(remedy) = &check.remedy {
                write!(f, "{:indent$}", "")?;
                write_wrapped(f, &format!("→ {remedy}"), indent)?;
            }
        }
        let count = |status: Status| format!("{} {}", self.count(status), status.as_str());
        let all = [Status::Ok, Status::Warning, Status::Failed, Status::Skipped];
        writeln!(f, "\n{}", all.map(count).join(", "))
    }
}

/// Writes the text, wrapped into lines that begin at column `indent`; the first line is already indented.
fn write_wrapped(f: &mut fmt::Formatter<'_>, text: &str, indent: usize) -> fmt::Result {
    let mut column = indent;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            write!(f, "\n{:indent$}", "")?;
            column = indent;
        } else if column > indent {
            f.write_str(" ")?;
            column += 1;
        }
        f.write_str(word)?;
        column += length;
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> OnlineReport {
        OnlineReport {
            checks: vec![
                Check::ok("engage-name", "2 addresses"),
                Check::warning(
                    "engage-point-definitions",
                    "the tenant has 3 kinds of points, and engage.default_point_definition is unset",
                    "set it",
                ),
            ],
        }
    }

    #[test]
    fn text_has_aligned_columns_and_lines_of_at_most_80_characters() {
        let expected = "\
ok      engage-name               2 addresses
warning engage-point-definitions  the tenant has 3 kinds of points, and
                                  engage.default_point_definition is unset
                                  → set it

1 ok, 1 warning, 0 failed, 0 skipped
";
        assert_eq!(report().to_string(), expected);
    }

    #[test]
    fn json_is_a_list_with_every_key() {
        let json = serde_json::to_string(&report()).expect("JSON");
        let expected =
            r#"[{"name":"engage-name","status":"ok","what":"2 addresses","remedy":null},"#;
        assert!(json.starts_with(expected), "{json}");
    }
}
