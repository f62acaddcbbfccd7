//! The shared library's link options.

use std::env;
use std::path::Path;

fn main() {
    // The script depends on no other file. `see` and `side` build with the same script.
    let own = if Path::new("build.rs").exists() { "build.rs" } else { "../build.rs" };
    println!("cargo::rerun-if-changed={own}");
    let major = env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    let has = |feature: &str| env::var_os(feature).is_some();
    let name = match () {
        () if has("CARGO_FEATURE_SEE") => "libepolyfill-see.so",
        () if has("CARGO_FEATURE_INTERPOSE") => "libepolyfill.so",
        () => "libepolyfill-side.so",
    };
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{name}.{major}");
    // Thread-exit and fork handlers point into the library, so it must never be unloaded.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
