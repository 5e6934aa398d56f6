//! The imports of every module in `src`, compared with the table of layers in docs/ARCHITECTURE.md.
//!
//! Each import between two rows of the table must be an arrow of the table, each arrow must be used, and the children of
//! a module must not import each other in a cycle. A child may import items defined in its parent.
//!
//! It also checks that no two public types share a name ([`names`]).

#[path = "layering/cycles.rs"]
mod cycles;
#[path = "layering/names.rs"]
mod names;
#[path = "layering/refusals.rs"]
mod refusals;
#[path = "layering/source.rs"]
mod source;
#[path = "layering/table.rs"]
mod table;
#[path = "layering/tree.rs"]
mod tree;

use std::{fs, path::Path};

use self::{table::Table, tree::Tree};

/// All differences between a tree and its table, one per line.
fn faults(tree: &Tree, table: &Table) -> Vec<String> {
    let mut faults = table.faults(tree);
    faults.extend(cycles::faults(tree));
    faults
}

#[test]
fn imports_follow_the_layers_of_the_architecture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = Tree::read(&root.join("src"));
    let document = fs::read_to_string(root.join("docs/ARCHITECTURE.md")).expect("a document");
    let faults = faults(&tree, &Table::parse(&document));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
