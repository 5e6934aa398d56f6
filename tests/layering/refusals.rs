//! Tests of the comparison itself: what it refuses, and what does not count as an import.

use super::{Table, Tree, faults};

/// The faults of files compared with a table, which has a line `module -> import import` for each module.
fn found(table: &str, files: &[(&str, &str)]) -> Vec<String> {
    let rows = table.lines().filter_map(|line| line.split_once(" ->"));
    let rows: Vec<_> = rows
        .map(|(module, imports)| {
            let imports = imports.split_whitespace().map(|to| format!("`{to}`"));
            let imports: Vec<_> = imports.collect();
            format!("| `{module}` | a purpose | {} |", imports.join(", "))
        })
        .collect();
    let rows = rows.join("\n");
    let document = format!("# Title\n\n## Layers\n\n{rows}\n\n## Next\n\n| `x` | y | `z` |\n");
    faults(&Tree::of(files), &Table::parse(&document))
}

#[test]
fn allowed_imports_pass() {
    let table = "a -> b\nb ->";
    let files = [("a.rs", "use crate::b::B;"), ("b.rs", "pub struct B;")];
    assert_eq!(found(table, &files), [""; 0]);
}

#[test]
fn forbidden_arrow_is_refused() {
    let table = "a ->\nb ->";
    let files = [("a.rs", "use crate::b::B;"), ("b.rs", "pub struct B;")];
    assert_eq!(found(table, &files), ["a imports b: not in the table"]);
}

#[test]
fn unused_arrow_is_refused() {
    let table = "a -> b\nb ->";
    let files = [("a.rs", "// crate::b::B"), ("b.rs", "pub struct B;")];
    assert_eq!(found(table, &files), ["a may import b: no import needs it"]);
}

#[test]
fn modules_and_rows_without_each_other_are_refused() {
    let faults = found("a ->\nc ->", &[("a.rs", ""), ("b.rs", "")]);
    let expected = [
        "b: has no row in the table",
        "c: is in the table, and no such module exists",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn two_siblings_that_import_each_other_are_refused() {
    let files = [
        ("a.rs", "mod one; mod two;"),
        ("a/one.rs", "use super::two::Two; pub struct One;"),
        ("a/two.rs", "use super::one::One; pub struct Two;"),
    ];
    let cycle = "cycle in a: a::one imports a::two, a::two imports a::one";
    assert_eq!(found("a ->", &files), [cycle]);
}

#[test]
fn cycle_of_three_siblings_is_refused_once() {
    let files = [
        ("a.rs", "mod one; mod two; mod three;"),
        ("a/one.rs", "use super::two::Two;"),
        ("a/two/deep.rs", "use crate::a::three::Three;"),
        ("a/two.rs", "mod deep;"),
        ("a/three.rs", "use super::one::One;"),
    ];
    let cycle =
        "cycle in a: a::one imports a::two, a::two::deep imports a::three, a::three imports a::one";
    assert_eq!(found("a ->", &files), [cycle]);
}

#[test]
fn cycle_of_top_modules_is_refused() {
    let files = [("a.rs", "use crate::b::B;"), ("b.rs", "use crate::a::A;")];
    let cycle = "cycle in src: a imports b, b imports a";
    assert_eq!(found("a -> b\nb -> a", &files), [cycle]);
}

#[test]
fn cycle_hidden_in_braces_is_refused() {
    let files = [
        ("a.rs", "mod one; mod two;"),
        (
            "a/one.rs",
            "use std::fmt; use super::{super::a::{two::{self, X}}};",
        ),
        ("a/two.rs", "use crate::{a::{one::Y as Z}};"),
    ];
    let cycle = "cycle in a: a::one imports a::two, a::two imports a::one";
    assert_eq!(found("a ->", &files), [cycle]);
}

#[test]
fn cycle_through_a_re_export_of_the_parent_is_refused() {
    let files = [
        ("a.rs", "mod one; mod two; pub use self::two::Two;"),
        ("a/one.rs", "use super::Two; pub struct One;"),
        ("a/two.rs", "use super::one::One; pub struct Two;"),
    ];
    let cycle = "cycle in a: a::one imports a::two, a::two imports a::one";
    assert_eq!(found("a ->", &files), [cycle]);
}

#[test]
fn re_export_counts_as_the_module_that_re_exports() {
    let files = [
        ("a.rs", "use crate::b::C;"),
        ("b.rs", "pub use crate::c::C;"),
        ("c.rs", "pub struct C;"),
    ];
    assert_eq!(found("a -> b\nb -> c\nc ->", &files), [""; 0]);
}

#[test]
fn inline_path_counts_as_an_import() {
    for text in [
        "fn f() { let _ = crate::b::B; }",
        "fn f() -> Vec<crate::b::B> { todo!() }",
        "fn f() { println!(\"{}\", crate::b::name()); }",
        "use crate::b; fn f() -> b::B { todo!() }",
        "use crate::b as other; fn f() -> other::B { todo!() }",
        "#[expect(x)] impl crate::b::T for A {}",
        "#[cfg(test)] use std::fmt; use crate::{b::B};",
        "#[cfg(fuzzing)] use crate::b::B;",
        "struct A { #[cfg(test)] only: u8, b: crate::b::B }",
    ] {
        let files = [("a.rs", text), ("b.rs", "")];
        assert_eq!(
            found("a ->\nb ->", &files),
            ["a imports b: not in the table"],
            "{text}"
        );
    }
}

#[test]
fn path_through_an_imported_module_reaches_its_child() {
    let files = [
        ("a.rs", "mod one; mod two;"),
        ("a/one.rs", "use crate::a; fn f() { a::two::g(); }"),
        ("a/two.rs", "use super::one;"),
    ];
    let cycle = "cycle in a: a::one imports a::two, a::two imports a::one";
    assert_eq!(found("a ->", &files), [cycle]);
}

#[test]
fn text_tests_and_other_crates_are_no_imports() {
    for text in [
        "/// See [`crate::b::B`].\n/* crate::b */ fn f() {}",
        "const TEXT: &str = \"crate::b::B\"; const RAW: &str = r#\"use crate::b;\"#;",
        "#[cfg(test)] mod tests { use crate::b::B; }",
        "#[cfg(test)] fn only(b: crate::b::B, c: u8) { crate::b::f() }",
        "#[cfg(test)] mod tests;",
        "use ::b::B; fn f() { ::b::f(); }",
        "use b::B; use std::{b::c, fmt};",
        "fn f<'b>(b: &'b str) -> Self { Self::b(b::<u8>::new()) }",
    ] {
        let files = [("a.rs", text), ("a/tests.rs", ""), ("b.rs", "")];
        assert_eq!(found("a ->\nb ->", &files), [""; 0], "{text}");
    }
}

#[test]
fn file_of_tests_is_left_out_with_its_children() {
    let files = [
        ("a.rs", "#[cfg(test)] mod tests;"),
        ("a/tests.rs", "mod more; use crate::b::B;"),
        ("a/tests/more.rs", "use crate::b::B;"),
        ("b.rs", ""),
    ];
    assert_eq!(found("a ->\nb ->", &files), [""; 0]);
}

#[test]
fn parent_and_child_may_import_each_other() {
    let files = [
        ("a.rs", "mod one; use self::one::One; pub struct A;"),
        ("a/one.rs", "use super::A; pub(in crate::a) struct One;"),
    ];
    assert_eq!(found("a ->", &files), [""; 0]);
}

#[test]
fn arrow_of_one_file_is_no_arrow_of_its_parent() {
    let files = [
        ("a.rs", "mod one; mod two;"),
        ("a/one.rs", "use crate::b::B;"),
        ("a/two.rs", ""),
        ("b.rs", ""),
    ];
    assert_eq!(found("a ->\na::one -> b\nb ->", &files), [""; 0]);
    let unused = ["a may import b: no import needs it"];
    assert_eq!(found("a -> b\na::one -> b\nb ->", &files), unused);
    let forbidden = [
        "a::one imports b: not in the table",
        "a::two may import b: no import needs it",
    ];
    assert_eq!(found("a ->\na::two -> b\nb ->", &files), forbidden);
}

#[test]
fn program_imports_the_library_and_its_own_modules() {
    let files = [
        ("main.rs", "mod process; use engage_bff::a::A; fn load() {}"),
        ("process.rs", "use crate::load; use engage_bff::a::A;"),
        ("lib.rs", "pub mod a;"),
        ("a.rs", ""),
    ];
    let faults = found("main -> a process\nprocess -> a\na ->", &files);
    let expected = [
        "process imports main: not in the table",
        "cycle in src: main imports process, process imports main",
    ];
    assert_eq!(faults, expected);
}

#[test]
#[should_panic(expected = "use super::b::*: a glob hides what it imports")]
fn glob_of_our_own_is_refused() {
    found("a ->", &[("a.rs", "use super::b::*;"), ("b.rs", "")]);
}
