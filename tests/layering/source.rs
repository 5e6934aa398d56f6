//! The imports of one source file.
//!
//! `proc-macro2` splits the text into tokens, so that comments, strings and lifetimes need no special treatment. It is
//! compiled for the derive macros anyway; `syn` would take seconds to compile, and does not see paths in the arguments
//! of macros.

use std::iter::Peekable;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree, token_stream::IntoIter};

/// The segments of a path, as written.
pub(crate) type Segments = Vec<String>;

/// A module of a file: the file itself, or an inline module.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// The path of an inline module within the file, its own name last; empty for the file itself.
    pub(crate) within: Segments,
    /// The `use` declarations: each name with its path.
    pub(crate) uses: Vec<(String, Segments)>,
    /// Paths of two segments or more outside of `use` declarations.
    pub(crate) paths: Vec<Segments>,
    /// The modules of this crate that are imported by `*`.
    pub(crate) globs: Vec<Segments>,
    /// The modules declared by `mod name;`.
    pub(crate) children: Vec<String>,
    /// The modules declared only for tests.
    pub(crate) test_children: Vec<String>,
}

type Tokens = Peekable<IntoIter>;

/// The modules of a file, without code that is compiled only for tests.
pub(crate) fn parse(text: &str) -> Result<Vec<Source>, String> {
    let tokens: TokenStream = text.parse().map_err(|error| format!("{error}"))?;
    let mut modules = Vec::new();
    let mut module = Source::default();
    collect(tokens, &mut module, &mut modules)?;
    modules.push(module);
    Ok(modules)
}

fn collect(
    tokens: TokenStream,
    module: &mut Source,
    modules: &mut Vec<Source>,
) -> Result<(), String> {
    let mut tokens = tokens.into_iter().peekable();
    let mut follows_colons = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                if is_for_tests(&mut tokens) {
                    skip_item(&mut tokens, module);
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                follows_colons = punct.spacing() == Spacing::Joint && next_is(&mut tokens, ':');
                if follows_colons {
                    tokens.next();
                }
                continue;
            }
            // A leading `::` begins a path of another crate, and `>::` an associated item.
            TokenTree::Ident(_) if follows_colons => drop(path(&mut tokens, String::new())),
            // In bounds, `use` is not a declaration: `impl Trait + use<T>`.
            TokenTree::Ident(word) if word == "use" && !next_is(&mut tokens, '<') => {
                use_tree(&mut tokens, &[], module)?;
            }
            TokenTree::Ident(word) if word == "mod" => {
                let Some(TokenTree::Ident(name)) = tokens.next() else {
                    continue;
                };
                match tokens.next() {
                    Some(TokenTree::Group(body)) => {
                        let mut child = Source {
                            within: module.within.clone(),
                            ..Source::default()
                        };
                        child.within.push(name.to_string());
                        collect(body.stream(), &mut child, modules)?;
                        modules.push(child);
                    }
                    _ => module.children.push(name.to_string()),
                }
            }
            TokenTree::Ident(first) => {
                let path = path(&mut tokens, first.to_string());
                if path.len() > 1 {
                    module.paths.push(path);
                }
            }
            TokenTree::Group(group) => collect(group.stream(), module, modules)?,
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        follows_colons = false;
    }
    Ok(())
}

fn next_is(tokens: &mut Tokens, character: char) -> bool {
    matches!(tokens.peek(), Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

/// The path that begins with this segment.
fn path(tokens: &mut Tokens, first: String) -> Segments {
    let mut segments = vec![first];
    loop {
        // Looks ahead in a copy: a single colon, as before a type, is not consumed.
        let mut ahead = tokens.clone();
        match ahead.next() {
            Some(TokenTree::Punct(colon))
                if colon.as_char() == ':' && colon.spacing() == Spacing::Joint => {}
            _ => return segments,
        }
        ahead.next();
        let Some(TokenTree::Ident(segment)) = ahead.next() else {
            return segments;
        };
        segments.push(segment.to_string());
        *tokens = ahead;
    }
}

/// One tree of a `use` declaration, up to its comma, its semicolon or the end of the braces.
fn use_tree(tokens: &mut Tokens, before: &[String], module: &mut Source) -> Result<(), String> {
    let mut segments = before.to_vec();
    let mut is_external = false;
    let mut alias = None;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) if word == "as" => {
                alias = tokens.next().map(|name| name.to_string());
            }
            TokenTree::Ident(segment) => segments.push(segment.to_string()),
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let mut inner = group.stream().into_iter().peekable();
                while inner.peek().is_some() && !is_external {
                    use_tree(&mut inner, &segments, module)?;
                }
                segments.clear();
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                ';' | ',' => break,
                // A path that begins with `::` is another crate's.
                ':' => is_external |= segments.is_empty(),
                '*' => {
                    let is_ours = is_ours(&segments);
                    module.globs.extend(is_ours.then(|| segments.clone()));
                    segments.clear();
                }
                other => return Err(format!("`{other}` in a use declaration")),
            },
            TokenTree::Group(_) | TokenTree::Literal(_) => {}
        }
    }
    if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
        segments.pop();
    }
    if !segments.is_empty() && !is_external {
        let name = alias.or_else(|| segments.last().cloned());
        module.uses.push((name.unwrap_or_default(), segments));
    }
    Ok(())
}

fn is_ours(segments: &[String]) -> bool {
    let first = segments.first().map_or("", String::as_str);
    matches!(first, "crate" | "self" | "super" | "engage_bff")
}

/// Whether the next attribute is `#[cfg(test)]`.
fn is_for_tests(tokens: &mut Tokens) -> bool {
    if next_is(tokens, '!') {
        return false;
    }
    let Some(TokenTree::Group(attribute)) = tokens.next() else {
        return false;
    };
    let text: String = attribute.stream().to_string();
    text.split_whitespace().collect::<String>() == "cfg(test)"
}

/// Skips the item of the attribute: up to its semicolon, its braces, or the comma of a field.
fn skip_item(tokens: &mut Tokens, module: &mut Source) {
    let mut words = Vec::new();
    for token in tokens.by_ref() {
        match token {
            TokenTree::Ident(word) => words.push(word.to_string()),
            TokenTree::Group(group)
                if group.delimiter() == Delimiter::Brace
                    && !words.iter().any(|word| word == "use") =>
            {
                return;
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => {
                if let Some(place) = words.iter().position(|word| word == "mod") {
                    module
                        .test_children
                        .extend(words.into_iter().nth(place + 1));
                }
                return;
            }
            TokenTree::Punct(punct) if punct.as_char() == ',' && !is_item(&words) => return,
            _ => {}
        }
    }
}

fn is_item(words: &[String]) -> bool {
    let keywords = [
        "fn", "impl", "struct", "enum", "trait", "type", "const", "static", "use",
    ];
    words.iter().any(|word| keywords.contains(&word.as_str()))
}
