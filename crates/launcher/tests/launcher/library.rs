//! The library: where it is looked for, and which files are refused.

use crate::support::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

#[test]
fn a_library_that_is_not_there_is_an_error() {
    let mut command = launcher(["true"]);
    let output = run(command.env("EPOLYFILL_LIBRARY", "/nonexistent"));
    assert_refused(&output, 125, "the library /nonexistent does not exist; set EPOLYFILL_LIBRARY");
    let output = run(command.env("EPOLYFILL_LIBRARY", "/etc/passwd"));
    assert_refused(&output, 125, "/etc/passwd is not a shared library");
    let output = run(command.env("EPOLYFILL_LIBRARY", "/etc"));
    assert_refused(&output, 125, "/etc is a directory");
}

#[test]
fn a_library_that_is_cut_short_or_not_the_right_one_is_refused_by_name() {
    let room = room("foreign");
    let refused = |library: &Path, words: &str| {
        let output = run(launcher(["true"]).env("EPOLYFILL_LIBRARY", library));
        assert_refused(&output, 125, &format!("{} {words}", library.display()));
    };
    let whole = fs::read(library()).unwrap();
    let cut = room.join("libepolyfill.so");
    // The mapped part comes before the sections for debuggers.
    fs::write(&cut, &whole[..100_000]).unwrap();
    refused(&cut, "is truncated");
    fs::write(&cut, &whole[..40]).unwrap();
    refused(&cut, "is damaged");

    let other = compile(&room, "other.so", "int nothing;", &["-shared", "-fPIC"]);
    refused(&other, "is not an epolyfill library");
    let side = compile(&room, "side.so", "int epolyfill_version;", &["-shared", "-fPIC"]);
    refused(&side, "is the side build");

    // Also beside the launcher, which then suggests another remedy.
    let launcher = room.join("epolyfill");
    fs::hard_link(LAUNCHER, &launcher).unwrap();
    let output = run(command(&launcher).arg("true"));
    assert_refused(&output, 125, "is damaged, or is not a shared library; reinstall epolyfill");
}

#[test]
fn without_proc_the_launcher_finds_itself() {
    // A mount namespace takes root.
    let words = format!("mount -t tmpfs none /proc && exec {LAUNCHER} -- sh -c 'exit 6'");
    let output = command("unshare").args(["-m", "sh", "-c", &words]).output().unwrap();
    if stderr(&output).contains("ermi") {
        return;
    }
    assert_code(&output, 6);
}

#[test]
fn the_library_is_looked_for_around_the_launcher_and_never_in_the_working_directory() {
    let library = library();
    let room = room("search");
    let bin = room.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let launcher = bin.join("epolyfill");
    fs::hard_link(LAUNCHER, &launcher).unwrap();

    let elsewhere = room.join("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    symlink(&library, elsewhere.join("libepolyfill.so")).unwrap();
    let output = run(command(&launcher).arg("true").current_dir(&elsewhere));
    assert_refused(&output, 125, "libepolyfill.so is neither in");

    for directory in ["lib/epolyfill", "lib", "bin/deps", "bin"] {
        let directory = room.join(directory);
        fs::create_dir_all(&directory).unwrap();
        let place = directory.join("libepolyfill.so");
        symlink(&library, &place).unwrap();
        let output = run(command(&launcher).args(["printenv", "LD_PRELOAD"]));
        assert_eq!(stdout(&output).trim_end(), place.to_str().unwrap());
    }
}

#[test]
fn a_path_that_ld_preload_cannot_hold_is_given_a_link() {
    let existing = library();
    for odd in ["a:b", "a b", "a$ORIGIN b"] {
        let file = room(odd).join("libepolyfill.so");
        symlink(&existing, &file).unwrap();
        let mut command = launcher(["sh", "-c", "printenv LD_PRELOAD"]);
        let output = run(command.env("EPOLYFILL_LIBRARY", &file));
        assert_code(&output, 0);
        assert_eq!(stderr(&output), "");
        let link = stdout(&output);
        assert!(!link.contains([' ', '$']) && !link.contains(':'), "{link}");
        let link = Path::new(link.trim_end());
        assert_eq!(fs::read_link(link).unwrap(), file);
        // The next launch uses it again, and it is in LD_PRELOAD once.
        let mut command = launcher([LAUNCHER, "printenv", "LD_PRELOAD"]);
        let output = run(command.env("EPOLYFILL_LIBRARY", &file));
        assert_eq!(stdout(&output).trim_end(), link.to_str().unwrap());
        // A link with another target is replaced.
        fs::remove_file(link).unwrap();
        symlink("/nonexistent", link).unwrap();
        assert_eq!(stderr(&run(launcher(["true"]).env("EPOLYFILL_LIBRARY", &file))), "");
        fs::remove_dir_all(link.parent().unwrap()).unwrap();
    }
}
