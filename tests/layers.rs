//! The layers of `src`: code may use its own layer and those below it.
//!
//! The compiler keeps this direction for the crates in `crates/`. Within `src` this test does. It
//! reads every path that begins with `crate`, `self` or `super`, and every call of a method whose
//! name is defined in `src` only above the caller. A call through a trait or a function pointer is
//! how a layer reaches one above it, and is not an arrow.
//!
//! An arrow that points upwards fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// The layers from the lowest to the highest. A module outside of them is below them all.
const LAYERS: [&str; 11] =
    ["graph", "probe", "backend", "instance", "nested", "see", "hooks", "api", "life", "abi", "raw"];

/// Methods that the standard library has too: a call does not show which one it means.
const ALSO_IN_STD: [&str; 25] = [
    "add", "as_ptr", "clear", "close", "drop", "end", "fmt", "get", "insert", "is_empty", "iter", "kind", "len",
    "load", "lock", "next", "pop", "push", "read", "remove", "store", "swap", "take", "with", "write",
];

type Module = Vec<String>;

fn rank(module: &[String]) -> usize {
    module.first().and_then(|top| LAYERS.iter().position(|layer| layer == top)).map_or(0, |at| at + 1)
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

/// Every module of the library but those of its unit tests, with its code.
fn modules(src: &Path) -> BTreeMap<Module, syn::File> {
    let mut found = Vec::new();
    files(src, &mut found);
    let module = |path: &Path| -> Module {
        let inside = path.strip_prefix(src).unwrap().with_extension("");
        let names = inside.iter().map(|part| part.to_str().unwrap().to_owned());
        names.filter(|name| name != "mod" && name != "lib").collect()
    };
    let parse = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let mut modules: BTreeMap<Module, syn::File> = found.iter().map(|path| (module(path), parse(path))).collect();
    let tests: Vec<Module> = modules.iter().flat_map(|(module, file)| test_files(module, file)).collect();
    modules.retain(|module, _| !tests.contains(module));
    modules
}

/// The modules of unit tests that have a file of their own.
fn test_files<'a>(module: &'a Module, file: &'a syn::File) -> impl Iterator<Item = Module> + 'a {
    file.items.iter().filter_map(|item| match item {
        syn::Item::Mod(inner) if inner.content.is_none() && is_test(&inner.attrs) => {
            Some(module.iter().cloned().chain([inner.ident.to_string()]).collect())
        }
        _ => None,
    })
}

/// The methods that a file defines.
#[derive(Default)]
struct Methods(BTreeSet<String>);

impl<'a> Visit<'a> for Methods {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_signature(&mut self, signature: &'a syn::Signature) {
        if signature.receiver().is_some() {
            self.0.insert(signature.ident.to_string());
        }
    }
}

/// The references of a file: paths from the root of the crate, methods and fields by name.
#[derive(Default)]
struct References {
    module: Module,
    paths: BTreeSet<Module>,
    methods: BTreeSet<String>,
    fields: BTreeSet<String>,
}

impl References {
    fn of(module: &Module, file: &syn::File) -> References {
        let mut references = References { module: module.clone(), ..References::default() };
        references.visit_file(file);
        references
    }

    fn path(&mut self, segments: &[String]) {
        let mut at = match segments.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self") => self.module.clone(),
            Some("super") => self.module[..self.module.len() - 1].to_vec(),
            _ => return,
        };
        for segment in &segments[1..] {
            if segment == "super" {
                at.pop();
            } else {
                at.push(segment.clone());
            }
        }
        self.paths.insert(at);
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Name(name) => {
                before.push(name.ident.to_string());
                self.path(before);
                before.pop();
            }
            syn::UseTree::Rename(name) => {
                before.push(name.ident.to_string());
                self.path(before);
                before.pop();
            }
            syn::UseTree::Glob(_) => self.path(before),
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    self.tree(item, before);
                }
            }
        }
    }

    /// Collects the words of a macro's arguments, which are not parsed: paths, and names after a
    /// dot.
    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut before = ' ';
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Ident(ident) => {
                    if before == '.' {
                        self.methods.insert(ident.to_string());
                    }
                    if before != ':' {
                        self.path(&std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    before = ' ';
                }
                proc_macro2::TokenTree::Punct(punct) => before = punct.as_char(),
                proc_macro2::TokenTree::Group(group) => {
                    self.tokens(group.stream());
                    before = ' ';
                }
                proc_macro2::TokenTree::Literal(_) => before = ' ',
            }
        }
        self.path(&path);
    }
}

impl<'a> Visit<'a> for References {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_test(&item.attrs) {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.tree(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.path(&segments);
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        self.methods.insert(call.method.to_string());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_field(&mut self, field: &'a syn::ExprField) {
        if let syn::Member::Named(name) = &field.member {
            self.fields.insert(name.to_string());
        }
        visit::visit_expr_field(self, field);
    }

    fn visit_macro(&mut self, item: &'a syn::Macro) {
        self.tokens(item.tokens.clone());
    }
}

/// The module that a path leads into: the longest prefix of the path that is a module.
fn owner<'m>(modules: &'m BTreeMap<Module, syn::File>, path: &[String]) -> Option<&'m Module> {
    (1..=path.len()).rev().find_map(|n| modules.get_key_value(&path[..n])).map(|(module, _)| module)
}

/// Which file uses which. The `crates` are below all layers.
fn arrows(modules: &BTreeMap<Module, syn::File>, crates: &BTreeMap<Module, syn::File>) -> BTreeSet<(Module, Module)> {
    let mut definers: BTreeMap<String, BTreeSet<&Module>> = BTreeMap::new();
    for (module, file) in modules.iter().chain(crates) {
        let mut methods = Methods::default();
        methods.visit_file(file);
        for method in methods.0 {
            definers.entry(method).or_default().insert(module);
        }
    }
    let mut arrows = BTreeSet::new();
    for (module, file) in modules {
        let references = References::of(module, file);
        for path in &references.paths {
            if let Some(owner) = owner(modules, path).filter(|&owner| owner != module) {
                arrows.insert((module.clone(), owner.clone()));
            }
        }
        for method in references.methods.iter().filter(|method| !ALSO_IN_STD.contains(&method.as_str())) {
            let Some(definers) = definers.get(method) else { continue };
            let lowest = *definers.iter().min_by_key(|definer| rank(definer)).unwrap();
            if !definers.contains(module)
                && modules.contains_key(lowest)
                && (definers.len() == 1 || rank(lowest) > rank(module))
            {
                arrows.insert((module.clone(), lowest.clone()));
            }
        }
    }
    arrows
}

/// The number of files in the largest circle of imports.
fn largest_circle(arrows: &BTreeSet<(Module, Module)>) -> usize {
    let nodes: BTreeSet<&Module> = arrows.iter().flat_map(|(from, to)| [from, to]).collect();
    let reach = |start: &Module| {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            for (_, to) in arrows.range((at.clone(), Vec::new())..).take_while(|(from, _)| from == at) {
                if seen.insert(to) {
                    open.push(to);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = nodes.iter().map(|&node| (node, reach(node))).collect();
    let circle = |node: &Module| reached[node].iter().filter(|&&to| reached[to].contains(node)).count();
    nodes.iter().map(|node| circle(node)).max().unwrap_or(0)
}

#[test]
fn code_uses_its_own_layer_and_those_below_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = ["ground", "rules"].map(|name| modules(&root.join("crates").join(name).join("src")));
    let modules = modules(&root.join("src"));
    let arrows = arrows(&modules, &crates.into_iter().flatten().collect());
    let upward: BTreeSet<String> = arrows
        .iter()
        .filter(|(from, to)| !from.is_empty() && rank(from) < rank(to))
        .map(|(from, to)| format!("{} -> {}", from.join("/"), to.join("/")))
        .collect();
    println!("{} files, {} arrows", modules.len(), arrows.len());
    println!("the largest circle of imports has {} files", largest_circle(&arrows));
    assert!(upward.is_empty(), "arrows against the direction of the layers:\n{upward:#?}");
}

/// The layers above the backends use the operations in `backend/mod.rs`, which work for both.
#[test]
fn no_layer_above_the_backends_looks_at_the_ring_of_an_instance() {
    let modules = modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let backend = rank(&["backend".to_owned()]);
    let above = modules.iter().filter(|(module, _)| rank(module) > backend);
    let looking = above.filter(|(module, file)| References::of(module, file).fields.contains("ring"));
    let looking: Vec<String> = looking.map(|(module, _)| module.join("/")).collect();
    assert!(looking.is_empty(), "{looking:?}");
}
