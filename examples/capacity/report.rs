//! The tables, in Markdown.

use std::fmt;

use crate::{
    engage::GROUPS,
    measure::{Finding, Proof},
    settings::{Setting, Spread},
    tally::Stretch,
};

/// The results of all settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    /// By setting, in the order of the tables.
    pub(crate) settings: Vec<(&'static str, Finding, Option<Proof>)>,
    /// By setting, spread and number of replicas.
    pub(crate) replicas: Vec<(&'static str, Spread, u32, Finding)>,
}

impl Report {
    /// Adds the results of a setting.
    pub(crate) fn add(&mut self, setting: &Setting, finding: Finding, proof: Option<Proof>) {
        let name = setting.name;
        match setting.config.engage.replicas {
            1 => self.settings.push((name, finding, proof)),
            replicas => {
                let row = (name, setting.spread, replicas, finding);
                self.replicas.push(row);
            }
        }
    }

    fn costs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| setting |")?;
        for group in GROUPS {
            write!(f, " {} |", group.as_str())?;
        }
        writeln!(
            f,
            " calls per session | hits | sessions per second | cached, MB |"
        )?;
        rule(f, 10)?;
        for (name, finding, _) in &self.settings {
            let wanted = &finding.wanted;
            write!(f, "| {name} |")?;
            for calls in wanted.calls_by_group() {
                write!(f, " {calls:.2} |")?;
            }
            writeln!(
                f,
                " {:.2} | {} | **{:.1}** | {} |",
                wanted.calls_per_session(),
                percent(wanted.share(wanted.hits)),
                finding.carried,
                finding.bytes / 1_000_000,
            )?;
        }
        Ok(())
    }

    fn proofs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| setting | load | sessions per second | calls per second | hits | stale | a part missing or outdated | refused | p99 except hits |"
        )?;
        rule(f, 9)?;
        for (name, finding, proof) in &self.settings {
            let Some(proof) = proof else { continue };
            let loads = [("90 %", 0.9, &proof.well), ("150 %", 1.5, &proof.too_much)];
            for (load, factor, stretch) in loads {
                let rate = finding.carried * factor;
                writeln!(f, "| {name} | {load} | {rate:.1} | {} |", seen(stretch))?;
            }
        }
        Ok(())
    }

    fn replicas(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| setting | replicas | requests of a session | calls per session | hits | sessions per second, all replicas |"
        )?;
        rule(f, 6)?;
        for (name, finding, _) in &self.settings {
            let has_replicas = self.replicas.iter().any(|(other, ..)| other == name);
            if has_replicas {
                writeln!(f, "| {name} | 1 | | {} |", carried(finding))?;
            }
            let of_setting = self.replicas.iter().filter(|(other, ..)| other == name);
            for (name, spread, replicas, finding) in of_setting {
                let spread = match spread {
                    Spread::Sticky => "stay with one",
                    Spread::Requests => "go to each in turn",
                };
                let carried = carried(finding);
                writeln!(f, "| {name} | {replicas} | {spread} | {carried} |")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### Calls per session\n")?;
        self.costs(f)?;
        writeln!(f, "\n### Below and beyond the budget\n")?;
        self.proofs(f)?;
        writeln!(f, "\n### Replicas\n")?;
        self.replicas(f)
    }
}

fn rule(f: &mut fmt::Formatter<'_>, columns: usize) -> fmt::Result {
    writeln!(f, "|{}", " --- |".repeat(columns))
}

fn seen(stretch: &Stretch) -> String {
    let shares = [
        stretch.hits,
        stretch.stale,
        stretch.degraded,
        stretch.refused,
    ];
    let shares = shares.map(|count| percent(stretch.share(count)));
    format!(
        "{:.1} | {} | {:.1} s",
        stretch.calls_per_second(),
        shares.join(" | "),
        stretch.slow().as_secs_f64()
    )
}

fn carried(finding: &Finding) -> String {
    let wanted = &finding.wanted;
    format!(
        "{:.2} | {} | {:.1}",
        wanted.calls_per_session(),
        percent(wanted.share(wanted.hits)),
        finding.carried
    )
}

fn percent(share: f64) -> String {
    if share == 0.0 {
        return "0".to_owned();
    }
    format!("{:.1} %", share * 100.0)
}
