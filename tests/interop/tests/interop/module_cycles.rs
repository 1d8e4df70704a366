//! No module imports one that imports it, directly or indirectly: each can be read after those that
//! it imports.
//!
//! The modules within one module are compared, each with everything inside it. What a module and
//! the one around it import from each other is their structure and not counted; nor are tests.

use super::architecture::metadata;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Modules that import one another, and may.
const EXCEPTIONS: &[&[&str]] = &[
    // A geometry says which cross-connects are possible, and these check themselves by it.
    &["connection", "geometry"],
];

/// The names of the modules around a module, and its own.
type ModulePath = Vec<String>;

/// Names of a module.
#[derive(Default)]
struct Module {
    /// Paths that begin with `crate`, `self`, `super` or a module inside.
    paths: Vec<Vec<String>>,
    /// Names that `use` introduces, with their paths.
    names: BTreeMap<String, Vec<String>>,
}

/// The modules of a crate.
#[derive(Default)]
struct Crate(BTreeMap<ModulePath, Module>);

fn word(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at) {
        Some(TokenTree::Ident(word)) => Some(word.to_string()),
        _ => None,
    }
}

fn is_punct(tokens: &[TokenTree], at: usize, c: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == c)
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens, at, ':') && is_punct(tokens, at + 1, ':')
}

fn group(tokens: &[TokenTree], at: usize, delimiter: Delimiter) -> Option<Vec<TokenTree>> {
    match tokens.get(at) {
        Some(TokenTree::Group(g)) if g.delimiter() == delimiter => {
            Some(g.stream().into_iter().collect())
        }
        _ => None,
    }
}

/// Whether an attribute is `#[cfg(test)]`, or a `cfg` that includes `test`.
fn is_of_tests(attribute: &[TokenTree]) -> bool {
    word(attribute, 0).as_deref() == Some("cfg")
        && attribute.get(1).is_some_and(|condition| {
            let condition = condition.to_string();
            condition.contains("test") && !condition.contains("not")
        })
}

/// Reads the paths of a `use` tree or of an expression from `at`, each with the name that it
/// introduces. Returns where they end.
fn paths(
    tokens: &[TokenTree],
    mut at: usize,
    before: &[String],
    found: &mut Vec<(Vec<String>, String)>,
) -> usize {
    let mut path = before.to_vec();
    loop {
        if let Some(tree) = group(tokens, at, Delimiter::Brace) {
            let mut part = 0;
            while part < tree.len() {
                part = paths(&tree, part, &path, found).max(part) + 1;
            }
            return at + 1;
        }
        let Some(name) = word(tokens, at) else {
            // A glob, or type arguments: what is before them is named.
            found.push((path, String::new()));
            return at;
        };
        at += 1;
        if name != "self" || path.is_empty() {
            path.push(name);
        }
        if is_path_separator(tokens, at) {
            at += 2;
            continue;
        }
        let mut introduced = path.last().cloned().unwrap_or_default();
        if word(tokens, at).as_deref() == Some("as") {
            introduced = word(tokens, at + 1).unwrap_or_default();
            at += 2;
        }
        found.push((path, introduced));
        return at;
    }
}

impl Crate {
    fn read(root: &Path) -> Self {
        let mut all = Self::default();
        all.file(root, root.parent().unwrap(), &[]);
        all
    }

    fn file(&mut self, file: &Path, folder: &Path, path: &[String]) {
        let text = std::fs::read_to_string(file).unwrap();
        let tokens: TokenStream = text.parse().unwrap();
        self.0.entry(path.to_vec()).or_default();
        self.items(&tokens.into_iter().collect::<Vec<_>>(), folder, path);
    }

    /// Reads the items of a module, whose modules are in `folder`.
    fn items(&mut self, tokens: &[TokenTree], folder: &Path, path: &[String]) {
        let (mut at, mut of_tests) = (0, false);
        while at < tokens.len() {
            if is_punct(tokens, at, '#')
                && let Some(attribute) = group(tokens, at + 1, Delimiter::Bracket)
            {
                of_tests |= is_of_tests(&attribute);
                at += 2;
            } else if of_tests {
                let ends =
                    is_punct(tokens, at, ';') || group(tokens, at, Delimiter::Brace).is_some();
                of_tests = !ends;
                at += 1;
            } else if word(tokens, at).as_deref() == Some("mod")
                && let Some(name) = word(tokens, at + 1)
            {
                let inside = [path, std::slice::from_ref(&name)].concat();
                if let Some(items) = group(tokens, at + 2, Delimiter::Brace) {
                    self.0.entry(inside.clone()).or_default();
                    self.items(&items, &folder.join(&name), &inside);
                } else {
                    let one = folder.join(format!("{name}.rs"));
                    let file = if one.is_file() {
                        one
                    } else {
                        folder.join(&name).join("mod.rs")
                    };
                    self.file(&file, &folder.join(&name), &inside);
                }
                at += 3;
            } else {
                at = self.names(tokens, at, path);
            }
        }
    }

    /// Notes what is named at this token; returns the next one.
    fn names(&mut self, tokens: &[TokenTree], at: usize, path: &[String]) -> usize {
        let module = self.0.entry(path.to_vec()).or_default();
        let mut found = Vec::new();
        match &tokens[at] {
            TokenTree::Ident(word) if word == "use" => {
                let end = paths(tokens, at + 1, &[], &mut found);
                for (path, name) in found {
                    module.names.insert(name, path.clone());
                    module.paths.push(path);
                }
                end
            }
            TokenTree::Ident(word)
                if ["crate", "self", "super"].iter().any(|w| word == w)
                    && is_path_separator(tokens, at + 1) =>
            {
                let end = paths(tokens, at, &[], &mut found);
                module.paths.extend(found.into_iter().map(|(path, _)| path));
                end.max(at + 1)
            }
            TokenTree::Group(group) => {
                let inside: Vec<_> = group.stream().into_iter().collect();
                let mut n = 0;
                while n < inside.len() {
                    n = self.names(&inside, n, path);
                }
                at + 1
            }
            _ => at + 1,
        }
    }

    /// The path from the root of the crate; `None` for a path into another crate.
    fn absolute(&self, from: &[String], path: &[String]) -> Option<Vec<String>> {
        let mut base = from.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while let Some((first, after)) = rest.split_first()
                    && first == "super"
                {
                    base.pop();
                    rest = after;
                }
            }
            first => {
                base.push(first.to_owned());
                if !self.0.contains_key(&base) {
                    return None;
                }
                base.pop();
            }
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// The module that defines what a path names, through the `use` of other modules.
    fn defining(&self, path: &[String], depth: usize) -> Option<ModulePath> {
        let length = (0..=path.len())
            .rev()
            .find(|n| self.0.contains_key(&path[..*n]))?;
        let (module, rest) = path.split_at(length);
        if let Some((name, after)) = rest.split_first()
            && let Some(used) = self.0[module].names.get(name)
            && depth < 10
        {
            let mut path = self.absolute(module, used)?;
            path.extend_from_slice(after);
            return self.defining(&path, depth + 1);
        }
        Some(module.to_vec())
    }

    /// The cycles: the module around each, the names of its modules, and what they import.
    fn cycles(&self) -> Vec<(ModulePath, BTreeSet<String>, Vec<String>)> {
        type Imports = BTreeMap<String, BTreeMap<String, Vec<String>>>;
        let mut around: BTreeMap<ModulePath, Imports> = BTreeMap::new();
        for (from, module) in &self.0 {
            for path in &module.paths {
                let Some(to) = self
                    .absolute(from, path)
                    .and_then(|path| self.defining(&path, 0))
                else {
                    continue;
                };
                let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                let (Some(importing), Some(imported)) = (from.get(shared), to.get(shared)) else {
                    continue;
                };
                around
                    .entry(from[..shared].to_vec())
                    .or_default()
                    .entry(importing.clone())
                    .or_default()
                    .entry(imported.clone())
                    .or_default()
                    .push(format!("{} imports {}", from.join("::"), to.join("::")));
            }
        }
        let mut cycles = Vec::new();
        for (parent, imports) in around {
            let reach = |name: &str| {
                let (mut reached, mut open) = (BTreeSet::new(), vec![name.to_owned()]);
                while let Some(next) = open.pop() {
                    for to in imports.get(&next).into_iter().flat_map(BTreeMap::keys) {
                        if reached.insert(to.clone()) {
                            open.push(to.clone());
                        }
                    }
                }
                reached
            };
            let reached: BTreeMap<&String, BTreeSet<String>> =
                imports.keys().map(|name| (name, reach(name))).collect();
            let mut seen: BTreeSet<String> = BTreeSet::new();
            for (name, all) in &reached {
                if !all.contains(*name) || seen.contains(*name) {
                    continue;
                }
                let cycle: BTreeSet<String> = all
                    .iter()
                    .filter(|other| reached.get(other).is_some_and(|r| r.contains(*name)))
                    .cloned()
                    .collect();
                seen.extend(cycle.iter().cloned());
                let imports = cycle
                    .iter()
                    .flat_map(|from| &imports[from])
                    .filter(|(to, _)| cycle.contains(*to))
                    .map(|(_, examples)| examples[0].clone())
                    .collect();
                cycles.push((parent.clone(), cycle, imports));
            }
        }
        cycles
    }
}

#[test]
fn no_module_imports_one_that_imports_it() {
    let (mut wrong, mut modules) = (Vec::new(), 0);
    for package in metadata()["packages"].as_array().unwrap() {
        for target in package["targets"].as_array().unwrap() {
            if !["lib", "bin"].contains(&target["kind"][0].as_str().unwrap()) {
                continue;
            }
            let all = Crate::read(Path::new(target["src_path"].as_str().unwrap()));
            modules += all.0.len();
            for (parent, cycle, imports) in all.cycles() {
                let names: Vec<&str> = cycle.iter().map(String::as_str).collect();
                if !EXCEPTIONS.contains(&names.as_slice()) {
                    let around = [&["crate".to_owned()], &*parent].concat().join("::");
                    wrong.push(format!(
                        "{}, in {around}: {}\n  {}",
                        package["name"],
                        names.join(", "),
                        imports.join("\n  ")
                    ));
                }
            }
        }
    }
    assert!(modules > 300, "{modules} modules were read");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn cycles_of_modules_are_found_through_reexports_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let cycles = || -> Vec<String> {
        Crate::read(&folder.path().join("lib.rs"))
            .cycles()
            .iter()
            .map(|(_, cycle, _)| cycle.iter().cloned().collect::<Vec<_>>().join(" "))
            .collect()
    };
    write("lib.rs", "mod a; mod b; mod c; pub use c::inner::C;");
    write("a.rs", "use std::fmt; use crate::{b::B as Other, fmt2};");
    write("b.rs", "fn b() { vec![super::C] }");
    write("c/mod.rs", "pub mod inner; #[cfg(test)] mod tests;");
    write("c/inner.rs", "use super::super::c; pub struct C;");
    write("c/tests.rs", "use crate::a::A;");
    assert_eq!(cycles(), [""; 0]);
    write(
        "c/inner.rs",
        "impl crate::a::A for C {} mod x { use crate::a; }",
    );
    assert_eq!(cycles(), ["a b c"]);
    write("a.rs", "#[cfg(test)] use crate::b::B;");
    assert_eq!(cycles(), [""; 0]);
    write(
        "b.rs",
        "/* super::C */ const B: &str = \"super::C\"; use super::c::d;",
    );
    write(
        "c/mod.rs",
        "pub mod inner; use self::d as e; mod d { use crate::b; }",
    );
    assert_eq!(cycles(), ["b c"]);
}
