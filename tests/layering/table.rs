//! The table of layers: which module may import which.

use std::collections::BTreeSet;

use super::tree::{Import, Module, Tree};

/// The heading above the table.
const HEADING: &str = "## Layers";

/// The rows of the table.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    module: Module,
    may_import: Vec<Module>,
}

impl Table {
    /// Reads the table under `## Layers`: module, purpose, and the modules that it may import, each in backticks.
    pub(crate) fn parse(document: &str) -> Self {
        let rows: Vec<_> = document
            .lines()
            .skip_while(|line| *line != HEADING)
            .skip(1)
            .take_while(|line| !line.starts_with("## "))
            .filter(|line| line.starts_with("| `"))
            .map(|line| {
                let cells: Vec<_> = line.trim_matches('|').split('|').collect();
                let [module, purpose, may_import] = cells[..] else {
                    panic!("not three cells: {line}");
                };
                assert!(!purpose.trim().is_empty(), "no purpose: {line}");
                let module = names(module).next().expect("a module");
                Row {
                    module: Module::parse(module),
                    may_import: names(may_import).map(Module::parse).collect(),
                }
            })
            .collect();
        assert!(!rows.is_empty(), "no table under {HEADING}");
        Self { rows }
    }

    /// Imports that the table does not allow, permissions that no import uses, modules without a row, and rows that
    /// name no module.
    pub(crate) fn faults(&self, tree: &Tree) -> Vec<String> {
        let mut faults = self.unknown_modules(tree);
        let mut used = BTreeSet::new();
        for import in &tree.imports {
            let Import { from, to } = import;
            if from.0.is_empty() || from.0.first() == to.0.first() {
                continue;
            }
            match self.arrow(import) {
                Some(arrow) => drop(used.insert(arrow)),
                None => faults.push(format!("{from} imports {to}: not in the table")),
            }
        }
        for row in &self.rows {
            for target in &row.may_import {
                if !used.contains(&(&row.module, target)) {
                    let module = &row.module;
                    faults.push(format!("{module} may import {target}: no import needs it"));
                }
            }
        }
        faults
    }

    /// The most specific permission in the table that allows the import: a module and one that it may import.
    fn arrow(&self, import: &Import) -> Option<(&Module, &Module)> {
        let arrows = self.rows.iter().flat_map(|row| {
            let targets = row.may_import.iter();
            targets.map(|target| (&row.module, target))
        });
        let allowing =
            arrows.filter(|(from, to)| from.contains(&import.from) && to.contains(&import.to));
        allowing.max_by_key(|(from, to)| (from.0.len(), to.0.len()))
    }

    fn unknown_modules(&self, tree: &Tree) -> Vec<String> {
        let is_row = |module: &Module| self.rows.iter().any(|row| row.module == *module);
        let unlisted = tree.modules.iter().filter(|module| module.0.len() == 1);
        let unlisted = unlisted
            .filter(|module| !is_row(module))
            .map(|module| format!("{module}: has no row in the table"));
        let absent = self
            .rows
            .iter()
            .flat_map(|row| [&row.module].into_iter().chain(&row.may_import))
            .filter(|module| !tree.modules.contains(module))
            .map(|module| format!("{module}: is in the table, and no such module exists"));
        let all: BTreeSet<_> = unlisted.chain(absent).collect();
        all.into_iter().collect()
    }
}

/// The texts in backticks.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}
