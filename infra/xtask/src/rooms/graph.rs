//! The import graph of a crate, read from its source: which module uses which other one, for which name.
//!
//! A module is a file. Code under `#[cfg(test)]` is left out. A path is followed through re-exports to the module that defines the
//! name, so that a flat `pub use` hides nothing. A method that is called without naming its type's module is not seen.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The layers of `common`, from the lowest. A module may use its own layer and those before it.
pub(crate) const LAYERS: [&str; 10] =
    ["base", "aws", "store", "identity", "policy", "audit", "request", "background", "capabilities", "run"];

/// The most modules that may depend on each other in a circle.
pub(crate) const LARGEST_CIRCLE: usize = 5;

/// A module's name from the crate's root: `["request", "permit"]`. The root is empty.
type Name = Vec<String>;

/// The contents of one file.
#[derive(Debug, Default)]
struct Module {
    /// Paths outside `use`, as written.
    paths: Vec<Name>,
    /// Local name → path, of each private `use`.
    imports: BTreeMap<String, Name>,
    /// Exported name → path, of each `pub use` and `pub(crate) use`.
    exports: BTreeMap<String, Name>,
}

/// The modules of a crate, and the uses of each.
#[derive(Debug)]
pub(crate) struct Graph {
    modules: BTreeMap<Name, Module>,
    /// `#[macro_export]`ed macros, which belong to the root wherever they are written.
    macros: BTreeMap<String, Name>,
    /// From, to → the used names.
    uses: BTreeMap<(Name, Name), BTreeSet<String>>,
}

impl Graph {
    /// Reads the crate whose root is `src/lib.rs`.
    ///
    /// # Errors
    /// A file is missing, or is not Rust.
    pub(crate) fn read(src: &Path) -> Result<Self, String> {
        let mut graph = Self { modules: BTreeMap::new(), macros: BTreeMap::new(), uses: BTreeMap::new() };
        let mut waiting = vec![(Name::new(), src.join("lib.rs"))];
        while let Some((name, file)) = waiting.pop() {
            let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            let tokens: TokenStream = text.parse().map_err(|e| format!("{}: {e}", file.display()))?;
            let mut module = Module::default();
            let mut children = Vec::new();
            Reader { module: &mut module, children: &mut children, macros: &mut graph.macros, name: &name }.items(tokens, 0);
            for child in children {
                let child: Name = [name.as_slice(), &[child]].concat();
                let file = file_of(src, &child)?;
                waiting.push((child, file));
            }
            graph.modules.insert(name, module);
        }
        graph.connect();
        Ok(graph)
    }

    /// Turns paths into uses. The root is a list of re-exports, so it is neither end of one.
    fn connect(&mut self) {
        let mut uses: BTreeMap<(Name, Name), BTreeSet<String>> = BTreeMap::new();
        for (from, module) in &self.modules {
            if from.is_empty() {
                continue;
            }
            let outward = module.exports.values().filter(|path| !self.definer(path).0.starts_with(from));
            let named = module.paths.iter().filter_map(|path| self.absolute(from, module, path));
            let imported = module.imports.values().filter(|path| !self.modules.contains_key(&self.definer(path).1));
            for path in outward.chain(imported).cloned().chain(named) {
                let (to, name) = self.definer(&path);
                if to != *from && !to.is_empty() {
                    let symbol = name.get(to.len()).cloned().unwrap_or_else(|| "*".to_owned());
                    uses.entry((from.clone(), to)).or_default().insert(symbol);
                }
            }
        }
        self.uses = uses;
    }

    /// A path outside `use`, from the root; `None` if it begins with a name from elsewhere.
    fn absolute(&self, from: &[String], module: &Module, path: &[String]) -> Option<Name> {
        let (first, rest) = path.split_first()?;
        if first.is_empty() {
            return Some(rest.to_vec());
        }
        if let Some(import) = module.imports.get(first) {
            return self.modules.contains_key(&self.definer(import).1).then(|| [import.as_slice(), rest].concat());
        }
        let child: Name = [from, std::slice::from_ref(first)].concat();
        self.modules.contains_key(&child).then(|| [child.as_slice(), rest].concat())
    }

    /// The module that defines the item of a path from the root, and the item's own path after re-exports are followed.
    fn definer(&self, path: &[String]) -> (Name, Name) {
        let (mut path, mut at) = (path.to_vec(), 0);
        // Re-exports of a crate that compiles end; the bound is for one that does not compile.
        for _ in 0..1000 {
            if at == path.len() {
                return (path.clone(), path);
            }
            if self.modules.contains_key(&path[..=at]) {
                at += 1;
                continue;
            }
            let module = self.modules.get(&path[..at]);
            let export = module.and_then(|m| m.exports.get(&path[at]).or_else(|| m.imports.get(&path[at])));
            if let Some(target) = export {
                path = [target.as_slice(), &path[at + 1..]].concat();
                at = 0;
                continue;
            }
            if at == 0
                && let Some(home) = self.macros.get(&path[0])
            {
                return (home.clone(), [home.as_slice(), &path].concat());
            }
            return (path[..at].to_vec(), path);
        }
        (Name::new(), Name::new())
    }

    /// Its modules, without the root.
    pub(crate) fn modules(&self) -> Vec<String> {
        self.modules.keys().filter(|name| !name.is_empty()).map(|name| name.join("::")).collect()
    }

    /// Each use: from, to, and the used names.
    pub(crate) fn uses(&self) -> impl Iterator<Item = (String, String, Vec<&str>)> {
        self.uses.iter().map(|((from, to), names)| (from.join("::"), to.join("::"), names.iter().map(String::as_str).collect()))
    }

    /// Uses of a higher layer, `from -> to (names)`.
    pub(crate) fn arrows_up(&self) -> Vec<String> {
        let up = self.uses().filter(|(from, to, _)| layer(from) < layer(to));
        up.map(|(from, to, names)| format!("{from} -> {to} ({})", names.join(", "))).collect()
    }

    /// The violations: a module in no layer, a use of a higher layer, a circle that is too large or crosses layers.
    pub(crate) fn faults(&self) -> Vec<String> {
        let homeless = self.modules().into_iter().filter(|name| layer(name).is_none());
        let mut faults: Vec<String> = homeless.map(|name| format!("{name} is in no layer: {}", LAYERS.join(", "))).collect();
        faults.extend(self.arrows_up().into_iter().map(|arrow| format!("{arrow} goes up a layer")));
        for circle in self.circles() {
            let rooms: BTreeSet<_> = circle.iter().map(|name| layer(name)).collect();
            if circle.len() > LARGEST_CIRCLE {
                faults.push(format!("a circle of {} modules, {LARGEST_CIRCLE} are allowed: {}", circle.len(), circle.join(", ")));
            }
            if rooms.len() > 1 {
                faults.push(format!("a circle crosses layers: {}", circle.join(", ")));
            }
        }
        faults
    }

    /// Circles, the largest first: modules each of which reaches all the others.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let names: Vec<&Name> = self.modules.keys().collect();
        let reach: BTreeMap<&Name, BTreeSet<&Name>> = names.iter().map(|&name| (name, self.reached(name))).collect();
        let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
        for name in &names {
            let circle = names.iter().filter(|other| reach[*name].contains(**other) && reach[**other].contains(*name));
            let circle: Vec<String> = circle.map(|other| other.join("::")).collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        let mut circles: Vec<_> = circles.into_iter().collect();
        circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
        circles
    }

    fn reached<'g>(&'g self, from: &'g Name) -> BTreeSet<&'g Name> {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![from]);
        while let Some(at) = waiting.pop() {
            for (_, to) in self.uses.keys().filter(|(source, _)| source == at) {
                if seen.insert(to) {
                    waiting.push(to);
                }
            }
        }
        seen
    }
}

/// A module's layer, counted from the lowest.
pub(crate) fn layer(module: &str) -> Option<usize> {
    let room = module.split("::").next()?;
    LAYERS.iter().position(|layer| *layer == room)
}

fn file_of(src: &Path, module: &[String]) -> Result<PathBuf, String> {
    let path = src.join(module.iter().collect::<PathBuf>());
    let (file, folder) = (path.with_extension("rs"), path.join("mod.rs"));
    [file, folder].into_iter().find(|file| file.exists()).ok_or_else(|| format!("no file of module {}", module.join("::")))
}

/// Reads the tokens of one file.
struct Reader<'a> {
    module: &'a mut Module,
    children: &'a mut Vec<String>,
    macros: &'a mut BTreeMap<String, Name>,
    name: &'a [String],
}

impl Reader<'_> {
    /// `depth` is the number of inline modules around the tokens.
    fn items(&mut self, tokens: TokenStream, depth: usize) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let (mut at, mut public, mut exported) = (0, false, false);
        while at < tokens.len() {
            if let Some(attribute) = attribute(&tokens[at..]) {
                if attribute == "cfg (test)" {
                    at = item_end(&tokens, at + 2);
                    continue;
                }
                exported |= attribute == "macro_export";
                at += 2;
                continue;
            }
            match ident(&tokens, at).as_deref() {
                Some("pub") => {
                    public = true;
                    at += 1;
                    if group(&tokens, at, Delimiter::Parenthesis).is_some() {
                        at += 1;
                    }
                    continue;
                }
                Some("use") => {
                    let end = item_end(&tokens, at);
                    self.tree(&tokens[at + 1..end], &[], depth, public);
                    at = end;
                }
                Some("mod") if group(&tokens, at + 2, Delimiter::Brace).is_some() => {
                    if let Some(body) = group(&tokens, at + 2, Delimiter::Brace) {
                        self.items(body, depth + 1);
                    }
                    at += 3;
                }
                Some("mod") => {
                    self.children.extend(ident(&tokens, at + 1));
                    at += 3;
                }
                Some("macro_rules") => {
                    if let (true, Some(name)) = (exported, ident(&tokens, at + 2)) {
                        self.macros.insert(name, self.name.to_vec());
                    }
                    exported = false;
                    at += 3;
                }
                Some(_) if colons(&tokens, at + 1) && !(at > 1 && colons(&tokens, at - 2)) => at = self.path(&tokens, at, depth),
                _ => {
                    if let TokenTree::Group(group) = &tokens[at] {
                        self.items(group.stream(), depth);
                    }
                    at += 1;
                }
            }
            public = false;
        }
    }

    /// A path outside `use`; where it ends.
    fn path(&mut self, tokens: &[TokenTree], mut at: usize, depth: usize) -> usize {
        let mut path = Vec::new();
        while let Some(segment) = ident(tokens, at) {
            path.push(segment);
            at += 1;
            if !colons(tokens, at) || ident(tokens, at + 2).is_none() {
                break;
            }
            at += 2;
        }
        match self.anchored(&path, depth) {
            // An empty first segment means that the path begins at the root.
            Some(path) => self.module.paths.push([vec![String::new()], path].concat()),
            None => self.module.paths.push(path),
        }
        at
    }

    /// A path that begins with `crate`, `self` or `super`, from the root on.
    fn anchored(&self, path: &[String], depth: usize) -> Option<Name> {
        let (first, mut rest) = path.split_first()?;
        let mut base = match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" => self.name.to_vec(),
            // `super` of an inline module is this file.
            "super" if depth > 0 => self.name.to_vec(),
            "super" => self.name.split_last()?.1.to_vec(),
            _ => return None,
        };
        while let Some(("super", after)) = rest.split_first().map(|(first, after)| (first.as_str(), after)) {
            base.pop();
            rest = after;
        }
        Some([base.as_slice(), rest].concat())
    }

    /// The tree of a `use`, behind `prefix`.
    fn tree(&mut self, tokens: &[TokenTree], prefix: &[String], depth: usize, public: bool) {
        let mut path = prefix.to_vec();
        let mut at = 0;
        let mut alias = None;
        while at < tokens.len() {
            if let Some(inner) = group(tokens, at, Delimiter::Brace) {
                let inner: Vec<TokenTree> = inner.into_iter().collect();
                for branch in inner.split(|token| punct(token) == Some(',')).filter(|branch| !branch.is_empty()) {
                    self.tree(branch, &path, depth, public);
                }
                return;
            }
            match ident(tokens, at) {
                Some(word) if word == "as" => {
                    alias = ident(tokens, at + 1);
                    at += 2;
                }
                Some(word) => {
                    path.push(word);
                    at += 1;
                }
                None => at += 1,
            }
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let Some(name) = alias.or_else(|| path.last().cloned()) else { return };
        // Without an anchor it is a child's name, or another crate's.
        let path = match self.anchored(&path, depth) {
            Some(path) => path,
            None if self.children.contains(&path[0]) => [self.name, &path].concat(),
            None => return,
        };
        let names = if public { &mut self.module.exports } else { &mut self.module.imports };
        // `as _` imports of several traits share a name.
        let name = if names.contains_key(&name) { format!("{name} {}", names.len()) } else { name };
        names.insert(name, path);
    }
}

/// The text of the attribute that begins here.
fn attribute(tokens: &[TokenTree]) -> Option<String> {
    (punct(tokens.first()?) == Some('#')).then(|| group(tokens, 1, Delimiter::Bracket)).flatten().map(|inner| inner.to_string())
}

/// The end of the item that begins at `at`: after its `;` or its body.
fn item_end(tokens: &[TokenTree], mut at: usize) -> usize {
    while attribute(&tokens[at..]).is_some() {
        at += 2;
    }
    let is_use = (at..at + 3).any(|i| ident(tokens, i).is_some_and(|word| word == "use"));
    while at < tokens.len() {
        let body = group(tokens, at, Delimiter::Brace).is_some() && !is_use;
        if body || matches!(punct(&tokens[at]), Some(';')) {
            return at + 1;
        }
        at += 1;
    }
    tokens.len()
}

fn ident(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at) {
        Some(TokenTree::Ident(word)) => Some(word.to_string()),
        _ => None,
    }
}

fn punct(token: &TokenTree) -> Option<char> {
    match token {
        TokenTree::Punct(punct) => Some(punct.as_char()),
        _ => None,
    }
}

fn colons(tokens: &[TokenTree], at: usize) -> bool {
    tokens.get(at).and_then(punct) == Some(':') && tokens.get(at + 1).and_then(punct) == Some(':')
}

fn group(tokens: &[TokenTree], at: usize, delimiter: Delimiter) -> Option<TokenStream> {
    match tokens.get(at) {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}
