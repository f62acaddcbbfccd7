//! Common functions of the launcher's tests: they start it, check its failures, and make programs
//! for it.
//!
//! A program is compiled by `cc` or copied by `cp`, and never written by this process: another
//! test's child may inherit the write descriptor for a moment, and then the kernel fails with
//! ETXTBSY.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use nix::fcntl::{Flock, FlockArg};

pub const LAUNCHER: &str = env!("CARGO_BIN_EXE_epolyfill");

/// Asserts that the library and the loader are as new as their sources. Cargo builds neither of them
/// for these tests.
fn assert_current() {
    static OUTDATED: OnceLock<Option<String>> = OnceLock::new();
    let find = || ["libepolyfill.so", "epolyfill-loader"].into_iter().find_map(outdated);
    if let Some(why) = OUTDATED.get_or_init(find) {
        panic!("{why}");
    }
}

/// A sentence about a built file that is older than one of its sources, which cargo lists beside it.
fn outdated(file: &str) -> Option<String> {
    let home = Path::new(LAUNCHER).parent()?;
    let modified = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    // The launcher takes the newer one, too.
    let built = modified(&home.join(file)).max(modified(&home.join("deps").join(file)))?;
    let list = fs::read_to_string(home.join(file).with_extension("d")).ok()?;
    let mut sources = list.split_once(": ")?.1.split_whitespace();
    let newer = sources.find(|source| modified(source.as_ref()).is_some_and(|modified| modified > built))?;
    Some(format!("{file} is older than {newer}: `cargo build` comes before these tests"))
}

/// A command in an environment without settings of the library, whatever the caller's has. All
/// processes of these tests are started by it.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    assert_current();
    let mut command = Command::new(program);
    let is_setting =
        |name: &OsStr| name == "LD_PRELOAD" || name == "ASAN_OPTIONS" || name.as_bytes().starts_with(b"EPOLYFILL_");
    for (variable, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

pub fn launcher<I: IntoIterator<Item: AsRef<OsStr>>>(words: I) -> Command {
    let mut command = command(LAUNCHER);
    command.args(words);
    command
}

pub fn run(command: &mut Command) -> Output {
    command.output().expect("the launcher starts")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
pub fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
}

/// Asserts a failure: an exit code, one line on stderr that contains the words, and no program run.
#[track_caller]
pub fn assert_refused(output: &Output, code: i32, words: &str) {
    assert_code(output, code);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.starts_with("epolyfill: "), "{complaint}");
    assert!(complaint.contains(words), "{words:?} is not in: {complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert_eq!(stdout(output), "");
}

/// Asserts that a program is refused, with and without `--check`.
#[track_caller]
pub fn assert_not_served(program: &Path, code: i32, words: &str) {
    assert_refused(&run(launcher(["--check"]).arg(program)), code, words);
    assert_refused(&run(launcher(["--"]).arg(program)), code, words);
}

/// An empty directory for one test. Another process with these tests, which has the same directories,
/// waits until this one ends.
pub fn room(test: &str) -> PathBuf {
    static LOCK: OnceLock<Flock<fs::File>> = OnceLock::new();
    let rooms = Path::new(env!("CARGO_TARGET_TMPDIR"));
    LOCK.get_or_init(|| {
        let file = fs::File::create(rooms.join("launcher.lock")).unwrap();
        Flock::lock(file, FlockArg::LockExclusive).unwrap()
    });
    let room = rooms.join("launcher").join(test);
    match fs::remove_dir_all(&room) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
    fs::create_dir_all(&room).unwrap();
    room
}

pub fn compile(room: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    compile_with("cc", room, name, source, flags).expect("cc compiles")
}

/// Compiles with another compiler; `None` if that is missing, or does not support the flags.
pub fn compile_with(compiler: &str, room: &Path, name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let (text, program) = (room.join("source.c"), room.join(name));
    fs::write(&text, source).unwrap();
    let status = command(compiler).args(flags).arg("-o").arg(&program).arg(&text).status();
    status.is_ok_and(|status| status.success()).then_some(program)
}

/// The launch's output on stderr.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn script(room: &Path, name: &str, text: &str) -> PathBuf {
    let (source, program) = (room.join("source.txt"), room.join(name));
    fs::write(&source, text).unwrap();
    let status = command("cp").arg(&source).arg(&program).status();
    assert!(status.expect("cp starts").success());
    make_mode(&program, 0o755);
    program
}

pub fn make_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The library that the launcher finds by itself.
pub fn library() -> PathBuf {
    let output = run(&mut launcher(["printenv", "LD_PRELOAD"]));
    assert_code(&output, 0);
    PathBuf::from(stdout(&output).trim_end())
}
