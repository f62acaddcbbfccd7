//! Collects what `src/abi/capi` gives to C, and what `src/abi/symbols/epoll.rs` does, and has ctest2 write the tests that compare it with
//! `include/epolyfill.h` and with `<sys/epoll.h>`.
//!
//! ctest2 reads declarations of foreign functions, in the Rust of 2018, and `src/abi/capi` has definitions in that of today. So these are turned
//! into declarations, and every type they name is left as it stands.

use quote::{quote, ToTokens};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{env, fs};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Block, File, FnArg, Item, Signature, Token, Type, Visibility};

fn main() {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap());
    let out = PathBuf::from(env::var("OUT_DIR").unwrap());
    let root = here.join("../..").canonicalize().unwrap();
    println!("cargo:rerun-if-changed={}", root.join("src/abi/capi").display());
    println!("cargo:rerun-if-changed={}", root.join("src/abi/symbols/epoll.rs").display());
    println!("cargo:rerun-if-changed={}", root.join("src/graph/stats.rs").display());
    println!("cargo:rerun-if-changed={}", root.join("include").display());

    let declarations = out.join("declarations.rs");
    let ours = records(&root.join("src/graph/stats.rs"))
        + &own(&root.join("src/abi/capi"))
        + &exported(&root.join("src/abi/symbols/epoll.rs"));
    fs::write(&declarations, ours).unwrap();

    let mut tests = ctest2::TestGenerator::new();
    tests
        .header("epolyfill.h")
        .include(root.join("include"))
        .type_name(|name, is_struct, is_union| match name {
            "epoll_event" | "timespec" => format!("struct {name}"),
            _ if is_struct => format!("struct {name}"),
            _ if is_union => format!("union {name}"),
            _ => name.to_string(),
        })
        .flag("-std=gnu11");
    tests.generate(&declarations, "tests.rs");

    // The functions' addresses are compared too, so the library is linked. clippy can do without; and one that was built anew need not be linked
    // anew, for what it lacks is missed when the tests start.
    println!("cargo:rerun-if-env-changed=EPOLYFILL_LIBRARY");
    if let Some(library) = env::var_os("EPOLYFILL_LIBRARY").map(PathBuf::from) {
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg={}", library.display());
    }
}

/// Every public item of the directory's files, with the functions as declarations.
fn own(directory: &Path) -> String {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let files: Vec<(PathBuf, File)> = files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path, file)
        })
        .collect();
    // Of an alias only the size is compared, which all types of callbacks share. So what takes one is declared with the type behind it.
    let aliases: HashMap<String, Type> = files
        .iter()
        .flat_map(|(_, file)| &file.items)
        .filter_map(|item| match item {
            Item::Type(alias) => Some((alias.ident.to_string(), (*alias.ty).clone())),
            _ => None,
        })
        .collect();

    let (mut items, mut functions) = (String::new(), String::new());
    for (path, file) in files {
        for item in file.items {
            match item {
                Item::Fn(mut function) if is_public(&function.vis) => {
                    for input in &mut function.sig.inputs {
                        if let FnArg::Typed(argument) = input {
                            let behind = aliases.get(&argument.ty.to_token_stream().to_string());
                            argument.ty = behind.map_or(argument.ty.clone(), |ty| Box::new(ty.clone()));
                        }
                    }
                    let abi = function.sig.abi.as_ref().and_then(|abi| abi.name.as_ref()).map(|name| name.value());
                    assert_eq!(abi.as_deref(), Some("C"), "{} is no function of C", function.sig.ident);
                    let (name, inputs, output) = (&function.sig.ident, &function.sig.inputs, &function.sig.output);
                    functions += &line(quote! { pub fn #name(#inputs) #output; });
                }
                Item::Struct(mut item) if is_public(&item.vis) => {
                    item.attrs.retain(is_layout);
                    item.fields.iter_mut().for_each(|field| field.attrs.clear());
                    items += &line(item);
                }
                Item::Union(mut item) if is_public(&item.vis) => {
                    item.attrs.retain(is_layout);
                    item.fields.named.iter_mut().for_each(|field| field.attrs.clear());
                    items += &line(item);
                }
                Item::Type(mut item) if is_public(&item.vis) => {
                    item.attrs.clear();
                    items += &line(item);
                }
                Item::Const(mut item) if is_public(&item.vis) => {
                    item.attrs.clear();
                    items += &line(item);
                }
                Item::Enum(item) if is_public(&item.vis) => {
                    panic!("{}: the tests of the header know no enum yet: {}", path.display(), item.ident)
                }
                _ => {}
            }
        }
    }
    assert!(!functions.is_empty(), "no function found in {}", directory.display());
    format!("{items}extern \"C\" {{\n{functions}}}\n")
}

/// The public structures of a file that have C's layout.
fn records(path: &Path) -> String {
    let file = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap();
    let mut records = String::new();
    for item in file.items {
        let Item::Struct(mut item) = item else { continue };
        if is_public(&item.vis) && item.attrs.iter().any(|attribute| attribute.path().is_ident("repr")) {
            item.attrs.retain(is_layout);
            item.fields.iter_mut().for_each(|field| field.attrs.clear());
            records += &line(item);
        }
    }
    assert!(!records.is_empty(), "no structure found in {}", path.display());
    records
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// The functions inside `export!`, as declarations.
fn exported(path: &Path) -> String {
    let file = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap();
    let mut functions = String::new();
    for item in file.items {
        if let Item::Macro(item) = item {
            let Exports(exports) = item.mac.parse_body().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            for Signature { ident, inputs, output, .. } in exports {
                functions += &line(quote! { pub fn #ident(#inputs) #output; });
            }
        }
    }
    assert!(!functions.is_empty(), "no function found in {}", path.display());
    format!("extern \"C\" {{\n{functions}}}\n")
}

/// What `export!` takes: signatures, each with what libc calls it, where there is such a thing, and a body.
struct Exports(Vec<Signature>);

impl Parse for Exports {
    fn parse(input: ParseStream) -> syn::Result<Exports> {
        let mut signatures = Vec::new();
        while !input.is_empty() {
            Attribute::parse_outer(input)?;
            signatures.push(input.parse()?);
            if input.parse::<Option<Token![as]>>()?.is_some() {
                input.parse::<syn::Path>()?;
            }
            input.parse::<Block>()?;
        }
        Ok(Exports(signatures))
    }
}

/// What decides how an item lies in memory, and that it can be copied.
fn is_layout(attribute: &Attribute) -> bool {
    attribute.path().is_ident("repr") || attribute.path().is_ident("derive")
}

fn line(item: impl ToTokens) -> String {
    item.to_token_stream().to_string() + "\n"
}
