//! The shared library's link options, and its C header.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=src/capi");
    println!("cargo::rerun-if-changed=cbindgen.toml");
    let major = env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    let name =
        if env::var_os("CARGO_FEATURE_INTERPOSE").is_some() { "libepolyfill.so" } else { "libepolyfill-side.so" };
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{name}.{major}");
    // Thread-exit and fork handlers point into the library, so it must never be unloaded.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    header();
}

/// Writes the header to OUT_DIR, where `tests/check-header` compares it with the committed one.
fn header() {
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
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
    let mut config =
        cbindgen::Config::from_file(Path::new(&root).join("cbindgen.toml")).expect("cbindgen.toml is readable");
    config.after_includes = Some(macros);
    cbindgen::Builder::new()
        .with_src(Path::new(&root).join("src/capi/mod.rs"))
        .with_config(config)
        .generate()
        .expect("src/capi holds only what C can express")
        .write_to_file(Path::new(&out).join("epolyfill.h"));
}
