//! The tables, in Markdown.

use std::fmt;

use crate::{
    engage::GROUPS,
    measure::{Finding, Proof},
    mix::Mix,
    settings::{Setting, Spread},
    tally::Stretch,
};

/// The results of all settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// By setting, in the order of the tables.
    pub(crate) settings: Vec<(Setting, Finding, Option<Proof>)>,
    /// By setting: those of several replicas, or of one with the tier.
    pub(crate) replicas: Vec<(Setting, Finding)>,
    /// Those that compare sessions with one identifier and with several.
    pub(crate) identified: Vec<(Setting, Finding)>,
}

impl Report {
    /// Adds the results of a setting.
    pub(crate) fn add(&mut self, setting: &Setting, finding: Finding, proof: Option<Proof>) {
        if setting.mix != Mix::ShopAndTill {
            self.identified.push((setting.clone(), finding));
        } else if setting.config.engage.replicas > 1 || setting.has_tier {
            self.replicas.push((setting.clone(), finding));
        } else {
            self.settings.push((setting.clone(), finding, proof));
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
        for (setting, finding, _) in &self.settings {
            let wanted = &finding.wanted;
            write!(f, "| {} |", setting.name)?;
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
        for (setting, finding, proof) in &self.settings {
            let Some(proof) = proof else { continue };
            let name = setting.name;
            let loads = [("90 %", 0.9, &proof.well), ("150 %", 1.5, &proof.too_much)];
            for (load, factor, stretch) in loads {
                let rate = finding.carried * factor;
                writeln!(f, "| {name} | {load} | {rate:.1} | {} |", seen(stretch))?;
            }
        }
        Ok(())
    }

    fn identified(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| identifiers of a session | contact id | `identifiers.unique` |"
        )?;
        for group in GROUPS {
            write!(f, " {} |", group.as_str())?;
        }
        writeln!(
            f,
            " calls per session | floor | calls / floor | sessions per second |"
        )?;
        rule(f, 12)?;
        for (setting, finding) in &self.identified {
            let wanted = &finding.wanted;
            let (identifiers, id) = match setting.mix {
                Mix::Several { typed_ids: true } => ("several", "with type"),
                Mix::Several { typed_ids: false } => ("several", "without type"),
                Mix::One | Mix::ShopAndTill => ("one", "none sent"),
            };
            let unique = &setting.config.identifiers.unique;
            let unique = match unique.iter().map(|kind| kind.as_str()).collect::<Vec<_>>() {
                kinds if kinds.is_empty() => "none".to_owned(),
                kinds => format!("`{}`", kinds.join("`, `")),
            };
            write!(f, "| {identifiers} | {id} | {unique} |")?;
            for calls in wanted.calls_by_group() {
                write!(f, " {calls:.2} |")?;
            }
            writeln!(
                f,
                " {:.2} | {:.2} | {:.3} | {:.1} |",
                wanted.calls_per_session(),
                wanted.floor_per_session(),
                wanted.over_floor(),
                finding.carried,
            )?;
        }
        Ok(())
    }

    fn replicas(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| setting | replicas | requests of a session | shared tier | calls per session | hits in memory | answered by the tier | sessions per second, all replicas |"
        )?;
        rule(f, 8)?;
        for (alone, finding, _) in &self.settings {
            let is_of_setting = |(other, _): &&(Setting, Finding)| other.name == alone.name;
            if self.replicas.iter().any(|found| is_of_setting(&found)) {
                writeln!(f, "{}", row(alone, finding))?;
            }
            for (setting, finding) in self.replicas.iter().filter(is_of_setting) {
                writeln!(f, "{}", row(setting, finding))?;
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
        self.replicas(f)?;
        writeln!(f, "\n### Identifiers\n")?;
        self.identified(f)
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

/// A row of the table of replicas.
pub(crate) fn row(setting: &Setting, finding: &Finding) -> String {
    let replicas = setting.config.engage.replicas;
    let spread = match setting.spread {
        _ if replicas == 1 => "",
        Spread::Sticky => "stay with one ",
        Spread::Requests => "go to each in turn ",
    };
    let wanted = &finding.wanted;
    format!(
        "| {} | {replicas} | {spread}| {} | {:.2} | {} | {} | {:.1} |",
        setting.name,
        if setting.has_tier { "yes" } else { "no" },
        wanted.calls_per_session(),
        percent(wanted.share(wanted.hits)),
        percent(wanted.share(wanted.shared)),
        finding.carried
    )
}

fn percent(share: f64) -> String {
    if share == 0.0 {
        return "0".to_owned();
    }
    format!("{:.1} %", share * 100.0)
}
