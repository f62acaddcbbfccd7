//! Prints the C header of `src/abi/capi`, as cbindgen makes it by the settings of `cbindgen.toml`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match header(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("generate-header: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// The header of the repository with this root.
fn header(root: &Path) -> Result<String, String> {
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml"))?;
    config.after_includes = Some(version_macros(&version(root)?)?);
    let mut written = Vec::new();
    cbindgen::Builder::new()
        .with_src(root.join("src/abi/capi/mod.rs"))
        // Its structure is a record of the library's own.
        .with_src(root.join("src/graph/stats.rs"))
        .with_config(config)
        .generate()
        .map_err(|error| format!("src/abi/capi cannot be expressed in C: {error}"))?
        .write(&mut written);
    let text = String::from_utf8(written).map_err(|_| "src/abi/capi is not UTF-8")?;
    Ok(text.lines().map(|line| without_line_comment(line) + "\n").collect())
}

/// The version of all packages of the workspace.
fn version(root: &Path) -> Result<String, String> {
    let manifest = root.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).map_err(|error| format!("{}: {error}", manifest.display()))?;
    let version = text.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.map(str::to_owned).ok_or_else(|| format!("{} has no version", manifest.display()))
}

fn version_macros(version: &str) -> Result<String, String> {
    let parts: Vec<&str> = version.split('.').collect();
    let [major, minor, patch] = parts[..] else {
        return Err(format!("the version {version} does not have three parts"));
    };
    Ok(format!(
        "\n/* The version of this header. */\n#define EPOLYFILL_VERSION \"{version}\"\n\
         #define EPOLYFILL_VERSION_MAJOR {major}\n#define EPOLYFILL_VERSION_MINOR {minor}\n\
         #define EPOLYFILL_VERSION_PATCH {patch}"
    ))
}

/// cbindgen ends blocks with line comments, which C89 does not have.
fn without_line_comment(line: &str) -> String {
    match line.split_once("// ") {
        Some((code, comment)) if line.starts_with(['#', '}']) => format!("{} /* {comment} */", code.trim_end()),
        _ => line.to_owned(),
    }
}
