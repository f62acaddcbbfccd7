//! The shared library's link options, and its C header.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    let root = root();
    println!("cargo::rerun-if-changed={}", root.join("src/capi").display());
    println!("cargo::rerun-if-changed={}", root.join("cbindgen.toml").display());
    let major = env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    let name =
        if env::var_os("CARGO_FEATURE_INTERPOSE").is_some() { "libepolyfill.so" } else { "libepolyfill-side.so" };
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{name}.{major}");
    // Thread-exit and fork handlers point into the library, so it must never be unloaded.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    header(&root);
}

/// The root of the repository, of which `side` is a package, too.
fn root() -> PathBuf {
    let own = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    if own.join("cbindgen.toml").exists() { own } else { own.join("..") }
}

/// Writes the header to OUT_DIR, where `tests/check-header` compares it with the committed one.
fn header(root: &Path) {
    let out = env::var("OUT_DIR").unwrap_or_default();
    let version = |part: &str| env::var(format!("CARGO_PKG_VERSION{part}")).unwrap_or_default();
    let macros = format!(
        "\n/* The version of this header. */\n#define EPOLYFILL_VERSION \"{}\"\n#define EPOLYFILL_VERSION_MAJOR {}\n\
         #define EPOLYFILL_VERSION_MINOR {}\n#define EPOLYFILL_VERSION_PATCH {}",
        version(""),
        version("_MAJOR"),
        version("_MINOR"),
        version("_PATCH"),
    );
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is readable");
    config.after_includes = Some(macros);
    let mut made = Vec::new();
    cbindgen::Builder::new()
        .with_src(root.join("src/capi/mod.rs"))
        .with_config(config)
        .generate()
        .expect("src/capi holds only what C can express")
        .write(&mut made);
    let made = String::from_utf8(made).expect("src/capi is text");
    let lines: Vec<String> = made.lines().map(without_line_comment).collect();
    std::fs::write(Path::new(&out).join("epolyfill.h"), lines.join("\n") + "\n").expect("OUT_DIR is writable");
}

/// C89 knows no comment of the kind that cbindgen puts behind the ends of blocks.
fn without_line_comment(line: &str) -> String {
    match line.split_once("// ") {
        Some((code, comment)) if line.starts_with(['#', '}']) => format!("{} /* {comment} */", code.trim_end()),
        _ => line.to_string(),
    }
}
