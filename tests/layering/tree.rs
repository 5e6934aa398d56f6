//! The modules of the crate and their imports from one another.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path as FilePath,
};

use super::source::{self, Segments, Source};

/// The library's name in imports of the program.
const LIBRARY: &str = "engage_bff";
/// More steps than any import takes; ends a circular chain of imports.
const MAX_STEPS: usize = 32;

/// The path of a module, such as `http::auth`; empty for the library's root.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Module(pub(crate) Segments);

impl Module {
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.split("::").map(str::to_owned).collect())
    }

    pub(crate) fn contains(&self, other: &Module) -> bool {
        other.0.starts_with(&self.0)
    }

    pub(crate) fn child(&self, name: &str) -> Self {
        let mut segments = self.0.clone();
        segments.push(name.to_owned());
        Self(segments)
    }

    fn parent(&self) -> Self {
        let mut segments = self.0.clone();
        segments.pop();
        Self(segments)
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("::"))
    }
}

/// The module `from` imports something from the module `to`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub(crate) from: Module,
    pub(crate) to: Module,
}

/// All modules and imports.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) modules: BTreeSet<Module>,
    pub(crate) imports: BTreeSet<Import>,
}

impl Tree {
    /// Reads every source file under a directory.
    pub(crate) fn read(directory: &FilePath) -> Self {
        let files = files_under(directory);
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (&**path, &**text))
            .collect();
        Self::of(&files)
    }

    /// The tree of files, each given by its path under `src` and its text.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let names = Names::of(files);
        let mut imports = BTreeSet::new();
        for (from, source) in &names.sources {
            let used = source.uses.iter().map(|(_, path)| path);
            for path in used.chain(&source.paths) {
                let search = Search {
                    names: &names,
                    importer: from,
                };
                let to = search.resolve(from, path, Some(path), MAX_STEPS);
                if let Some(to) = to.filter(|to| to != from) {
                    let from = from.clone();
                    imports.insert(Import { from, to });
                }
            }
        }
        let modules = names.sources.into_keys().collect();
        Self { modules, imports }
    }
}

/// The path below the directory, and the text, of every source file under it.
pub(crate) fn files_under(directory: &FilePath) -> Vec<(String, String)> {
    let mut files = Vec::new();
    read_files(directory, directory, &mut files);
    files
}

fn read_files(root: &FilePath, directory: &FilePath, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_files(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("a path below the root");
            let name = name.to_str().expect("a readable path").to_owned();
            files.push((name, fs::read_to_string(&path).expect("a readable file")));
        }
    }
}

/// The modules and their `use` declarations.
struct Names {
    sources: BTreeMap<Module, Source>,
    /// `main` and its modules, where `crate` is the program, not the library.
    program: BTreeSet<String>,
}

impl Names {
    fn of(files: &[(&str, &str)]) -> Self {
        let mut sources = BTreeMap::new();
        let mut for_tests = Vec::new();
        for (path, text) in files {
            let file = module_of(path);
            let parsed = source::parse(text).unwrap_or_else(|error| panic!("{path}: {error}"));
            for source in parsed {
                let mut module = file.clone();
                module.0.extend(source.within.iter().cloned());
                let children = source.test_children.iter();
                for_tests.extend(children.map(|child| module.child(child)));
                sources.insert(module, source);
            }
        }
        sources.retain(|module, _| !for_tests.iter().any(|test| test.contains(module)));
        for (module, source) in &sources {
            if let Some(glob) = source.globs.first() {
                panic!(
                    "{module}: use {}::*: a glob hides what it imports",
                    glob.join("::")
                );
            }
        }
        let main = Module::parse("main");
        let mut program = BTreeSet::from(["main".to_owned()]);
        if let Some(source) = sources.get_mut(&main) {
            for child in source.children.clone() {
                let path = vec![LIBRARY.to_owned(), child.clone()];
                source.uses.push((child.clone(), path));
                program.insert(child);
            }
        }
        Self { sources, program }
    }

    fn is_of_program(&self, module: &Module) -> bool {
        let top = module.0.first();
        top.is_some_and(|top| self.program.contains(top))
    }

    /// The path of a name that the module imports.
    fn used(&self, module: &Module, name: &str, own: Option<&Segments>) -> Option<&Segments> {
        let mut uses = self.sources.get(module)?.uses.iter();
        let found = uses.find(|(used, path)| used == name && own != Some(path));
        found.map(|(_, path)| path)
    }
}

/// Resolves the paths of one module.
struct Search<'a> {
    names: &'a Names,
    importer: &'a Module,
}

impl Search<'_> {
    /// The module that a path in `from` leads to; `None` for a path to another crate. `own` is the `use` declaration being
    /// resolved, which must not resolve itself.
    fn resolve(
        &self,
        from: &Module,
        path: &[String],
        own: Option<&Segments>,
        steps: usize,
    ) -> Option<Module> {
        let steps = steps.checked_sub(1)?;
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" if self.names.is_of_program(from) => {
                self.descend(Module::parse("main"), rest, own, steps)
            }
            "crate" | LIBRARY => self.descend(Module::default(), rest, own, steps),
            "self" => self.descend(from.clone(), rest, own, steps),
            "super" => {
                let mut parent = from.parent();
                let mut rest = rest;
                while let Some((first, further)) = rest.split_first()
                    && first == "super"
                {
                    (parent, rest) = (parent.parent(), further);
                }
                self.descend(parent, rest, own, steps)
            }
            name => {
                let used = self.names.used(from, name, own);
                if let Some(used) = used {
                    let whole = [used, rest].concat();
                    return self.resolve(from, &whole, Some(used), steps);
                }
                let child = from.child(name);
                let is_child = self.names.sources.contains_key(&child);
                is_child.then(|| self.descend(child, rest, own, steps))?
            }
        }
    }

    /// Follows the segments down from a module. A name that the module itself imports is followed if the importer is
    /// within the module, so that a parent cannot hide an import between two of its children. For other importers a
    /// re-export counts as the module's own item.
    fn descend(
        &self,
        mut module: Module,
        path: &[String],
        own: Option<&Segments>,
        steps: usize,
    ) -> Option<Module> {
        for (index, name) in path.iter().enumerate() {
            let child = module.child(name);
            if self.names.sources.contains_key(&child) {
                module = child;
            } else if module.contains(self.importer)
                && let Some(used) = self.names.used(&module, name, own)
            {
                let whole = [used, &path[index + 1..]].concat();
                return self.resolve(&module, &whole, Some(used), steps);
            } else {
                break;
            }
        }
        Some(module)
    }
}

/// The module of a file.
fn module_of(path: &str) -> Module {
    match path.trim_end_matches(".rs") {
        "lib" => Module::default(),
        path => Module(path.split('/').map(str::to_owned).collect()),
    }
}
