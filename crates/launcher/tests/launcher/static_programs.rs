//! Static programs, which the loader loads: the launcher executes it, and so does the library when
//! another program starts a static one.

use super::support::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;

/// A program without libc, with the marks of Go's linker, as its linker makes them.
fn guest(room: &Path, name: &str, flags: &[&str]) -> PathBuf {
    let all = [&["-nostdlib", "-O1", "-ffreestanding", "-fno-stack-protector", "-mno-red-zone"][..], flags].concat();
    compile(room, name, include_str!("guest.c"), &all)
}

pub fn starter(room: &Path) -> PathBuf {
    compile(room, "starter", include_str!("starter.c"), &[])
}

#[track_caller]
pub fn assert_said(ran: &Output, said: &str) {
    assert_code(ran, 0);
    assert_eq!((stdout(ran).as_str(), stderr(ran).as_str()), (said, ""));
}

#[test]
fn a_static_go_program_is_loaded() {
    let room = room("static-go");
    let program = guest(&room, "program", &["-static"]);
    let check = run(launcher(["--check"]).arg(&program));
    assert_code(&check, 0);
    assert!(stdout(&check).contains("can be served: static: loaded by epolyfill, and "), "{check:?}");
    let path = program.canonicalize().unwrap();
    assert_said(&run(launcher(["--no-kernel-epoll", "--"]).arg(&program).arg(&path)), "served\n");

    let started = run(launcher(["--check", "timeout", "5"]).arg(&program));
    assert_code(&started, 0);
    assert!(stdout(&started).contains(" instructions are rewritten, started by "), "{started:?}");
    let off = run(launcher(["--"]).arg(&program).env("EPOLYFILL_RAW", "no"));
    assert_refused(&off, 125, "EPOLYFILL_RAW=no leaves them alone");
    // The loader cannot be put in front of a script's interpreter.
    let script = script(&room, "script", &format!("#!{}\n", program.display()));
    assert_not_served(&script, 125, "is static and can only be loaded itself");
}

/// Copies a file into a room.
fn copy(from: &Path, to: PathBuf) -> PathBuf {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let status = command("cp").arg(from).arg(&to).status();
    assert!(status.expect("cp starts").success());
    to
}

#[test]
fn without_the_loader_a_static_go_program_is_refused() {
    let room = room("no-loader");
    let program = guest(&room, "program", &["-static"]);
    // The launcher and the library alone. The name makes it the one with the observer.
    copy(&library(), room.join("libepolyfill.so"));
    copy(&library(), room.join("libepolyfill-see.so"));
    let alone = copy(LAUNCHER.as_ref(), room.join("epolyfill"));
    let timeline = format!("--timeline={}", room.join("timeline").display());
    for option in ["--", "--check", "--audit", "--audit-exit=3", "-t", "-c", "--chaos=1", "--chaos-hunt=2", &timeline] {
        let ran = run(command(&alone).arg(option).arg(&program));
        assert_refused(&ran, 125, "static programs need epolyfill-loader, which is not in ");
    }
    assert!(!room.join("timeline").exists());
    // A program that another one starts is left to the kernel.
    let starter = starter(&room);
    assert_said(&run(command(&alone).arg("--").arg(&starter).arg("execve").arg(&program)), "words|a b||");
}

#[test]
fn the_loader_is_one_that_the_library_finds_for_children() {
    let room = room("places");
    let program = guest(&room, "program", &["-static"]);
    let starter = starter(&room);
    let library = copy(&library(), room.join("lib/triplet/libepolyfill.so"));
    let start =
        |words: &[&Path]| run(launcher(["--no-kernel-epoll", "--"]).args(words).env("EPOLYFILL_LIBRARY", &library));
    let loader = Path::new(LAUNCHER).with_file_name("epolyfill-loader");
    for place in ["lib/triplet", "lib/triplet/epolyfill", "lib/epolyfill"] {
        let there = copy(&loader, room.join(place).join("epolyfill-loader"));
        assert_said(&start(&[&program, &program.canonicalize().unwrap()]), "served\n");
        assert_said(&start(&[&starter, "execve".as_ref(), &program]), "words|a b||");
        fs::remove_file(there).unwrap();
    }
    // The one beside the launcher would serve the program, and not its children.
    assert_refused(&start(&[&program]), 125, "static programs need epolyfill-loader, which is not in ");
}

#[test]
fn a_static_go_program_with_c_code_is_refused() {
    let room = room("static-cgo");
    for flags in [&["-static", "-DWITH_C_CODE"][..], &["-static-pie"]] {
        assert_not_served(&guest(&room, "program", flags), 125, "is linked statically with C code");
    }
}

#[test]
fn a_static_go_program_that_another_one_starts_is_loaded_with_its_words() {
    let room = room("started");
    let (starter, program) = (starter(&room), guest(&room, "program", &["-static"]));
    let start = |way: &str, program: &Path, more: &[&str]| {
        run(launcher(["--no-kernel-epoll", "--"]).arg(&starter).arg(way).arg(program).args(more))
    };
    let ways =
        ["execve", "syscall", "execvpe", "execle", "posix_spawn", "posix_spawnp", "vfork", "execv", "execl", "execlp"];
    for way in ways {
        let ran = start(way, &program, &[]);
        assert_eq!((stdout(&ran).as_str(), stderr(&ran).as_str()), ("words|a b||", ""), "{way}");
        assert_code(&ran, 0);
    }
    for count in [1, 2, 180, 200, 3000, 20000] {
        let words =
            format!("words|{}{}", "a b|".repeat((count as usize).saturating_sub(2)), if count > 1 { "|" } else { "" });
        for way in ["execve", "vfork"] {
            assert_said(&start(way, &program, &[&count.to_string()]), &words);
        }
    }
    // As for the kernel, there is always a first word: the guest fails, which takes an argument.
    let ran = start("no words", &program, &[]);
    assert_code(&ran, 1);
    assert!(stderr(&ran).starts_with("line "), "{ran:?}");
}

#[test]
fn a_static_go_program_is_searched_for_as_libc_does() {
    let room = room("searched");
    let (starter, program) = (starter(&room), guest(&room, "program", &["-static"]));
    // A directory, and a file that may not be executed, are passed over.
    let (first, second, third) = (room.join("first"), room.join("second"), room.join("third"));
    fs::create_dir_all(first.join("name")).unwrap();
    fs::create_dir_all(&second).unwrap();
    fs::create_dir_all(&third).unwrap();
    fs::write(second.join("name"), "").unwrap();
    make_mode(&second.join("name"), 0o644);
    symlink(&program, third.join("name")).unwrap();
    let path = format!("{}:{}:/nowhere:{}", first.display(), second.display(), third.display());
    let start = |path: &str| {
        let mut command = launcher(["--no-kernel-epoll", "--"]);
        run(command.arg(&starter).args(["execvp", "name", "3", path]).current_dir(&third))
    };
    assert_said(&start(&path), "words|a b||");
    assert_said(&start(&format!("{}:", first.display())), "words|a b||");
    assert_code(&start("/nowhere"), 5);
}

#[test]
fn a_static_program_that_is_not_to_be_loaded_is_left_to_the_kernel() {
    let room = room("left");
    let (starter, program) = (starter(&room), guest(&room, "program", &["-static"]));
    let start_by = |way: &str, program: &Path, variable: &str, value: &str| {
        let mut command = launcher(["--no-kernel-epoll", "--"]);
        run(command.arg(&starter).arg(way).arg(program).env(variable, value))
    };
    let start = |program: &Path, variable: &str, value: &str| start_by("execv", program, variable, value);
    // It fails at its first epoll call.
    let assert_left = |ran: Output| {
        assert_code(&ran, 1);
        assert!(stderr(&ran).starts_with("line "), "{ran:?}");
    };
    assert_said(&start(&program, "OTHER", ""), "words|a b||");
    assert_left(start(&program, "EPOLYFILL_CHILDREN", "no"));
    assert_left(start(&program, "EPOLYFILL_RAW", "no"));
    // The descriptor is closed when the loader would open the path.
    assert_left(start_by("descriptor", &program, "OTHER", ""));
    assert_left(start(&guest(&room, "with-c", &["-static", "-DWITH_C_CODE"]), "OTHER", ""));
    make_mode(&program, 0o4755);
    assert_left(start(&program, "OTHER", ""));
}

#[test]
fn a_started_program_that_the_loader_cannot_load_is_executed() {
    let room = room("unknown");
    let (starter, program) = (starter(&room), guest(&room, "program", &["-static", "-DUNCLEAR"]));
    assert_not_served(&program, 125, "by instructions of an unknown form");
    let ran = run(launcher(["--"]).arg(&starter).arg("execve").arg(&program));
    assert_code(&ran, 0);
    assert_eq!(stdout(&ran), "words|a b||");
    assert!(stderr(&ran).contains(" runs without the library: it makes its system calls by "), "{ran:?}");
    let quiet = run(launcher(["--"]).arg(&starter).arg("execve").arg(&program).env("EPOLYFILL_QUIET", "1"));
    assert_said(&quiet, "words|a b||");
}
