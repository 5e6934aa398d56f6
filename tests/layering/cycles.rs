//! Cycles among the children of a module, each child with all modules below it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::tree::{Import, Module, Tree};

/// The imports among the children of one module: from, to, and one import as evidence.
type Siblings<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>;

/// The shortest cycle through each child.
pub(crate) fn faults(tree: &Tree) -> Vec<String> {
    let mut parents: BTreeMap<Module, Siblings<'_>> = BTreeMap::new();
    for import in &tree.imports {
        let (from, to) = (&import.from.0, &import.to.0);
        let shared = from.iter().zip(to).take_while(|(one, other)| one == other);
        let shared = shared.count();
        if let (Some(one), Some(other)) = (from.get(shared), to.get(shared)) {
            let siblings = parents.entry(Module(from[..shared].to_vec())).or_default();
            siblings
                .entry(one)
                .or_default()
                .entry(other)
                .or_insert(import);
        }
    }
    let cycles = parents.iter().flat_map(|(parent, siblings)| {
        let cycles: BTreeSet<_> = siblings
            .keys()
            .filter_map(|start| shortest_cycle(start, siblings))
            .collect();
        cycles
            .into_iter()
            .map(move |cycle| describe(parent, &cycle, siblings))
    });
    cycles.collect()
}

/// The shortest cycle through a child, beginning with the alphabetically first of its modules.
fn shortest_cycle<'a>(start: &'a str, siblings: &Siblings<'a>) -> Option<Vec<&'a str>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(name) = queue.pop_front() {
        for next in siblings.get(name).into_iter().flat_map(BTreeMap::keys) {
            if *next == start {
                let mut cycle = vec![name];
                while let Some(earlier) = before.get(cycle[cycle.len() - 1]) {
                    cycle.push(earlier);
                }
                cycle.reverse();
                let first = (0..cycle.len()).min_by_key(|index| cycle[*index]);
                cycle.rotate_left(first.unwrap_or_default());
                return Some(cycle);
            }
            if *next != start && !before.contains_key(next) {
                before.insert(next, name);
                queue.push_back(next);
            }
        }
    }
    None
}

fn describe(parent: &Module, cycle: &[&str], siblings: &Siblings<'_>) -> String {
    let steps = cycle.iter().zip(cycle.iter().cycle().skip(1));
    let steps: Vec<_> = steps
        .map(|(one, other)| {
            let Import { from, to } = siblings[one][other];
            format!("{from} imports {to}")
        })
        .collect();
    let parent = if parent.0.is_empty() {
        "src".to_owned()
    } else {
        parent.to_string()
    };
    format!("cycle in {parent}: {}", steps.join(", "))
}
