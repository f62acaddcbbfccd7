//! Which programs the launcher serves and which it refuses, with and without `--check`.

use super::support::*;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// A 64-bit ELF file, little-endian, with an interpreter and nothing to run.
fn doctored_elf(room: &Path, name: &str, machine: u16, interpreter: &str) -> PathBuf {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let (et_dyn, pt_interp) = (3u16, 3u32);
    file.extend(et_dyn.to_le_bytes());
    file.extend(machine.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    // Entry, program headers, section headers.
    file.extend([0u64, 64, 0].map(u64::to_le_bytes).concat());
    file.extend(0u32.to_le_bytes());
    file.extend([64u16, 56, 1, 0, 0, 0].map(u16::to_le_bytes).concat());
    file.extend(pt_interp.to_le_bytes());
    file.extend(4u32.to_le_bytes());
    let length = interpreter.len() as u64 + 1;
    file.extend([120u64, 0, 0, length, length, 1].map(u64::to_le_bytes).concat());
    file.extend(interpreter.as_bytes());
    file.push(0);
    let path = room.join(name);
    fs::write(&path, file).unwrap();
    make_mode(&path, 0o755);
    path
}

const THIS_MACHINE: u16 = if cfg!(target_arch = "aarch64") {
    183
} else if cfg!(target_arch = "riscv64") {
    243
} else {
    62
};
const OTHER_MACHINE: u16 = if cfg!(target_arch = "aarch64") { 62 } else { 183 };

#[test]
fn check_says_that_a_program_can_be_served_and_does_not_run_it() {
    let output = run(&mut launcher(["--check", "sh", "-c", "echo ran"]));
    assert_code(&output, 0);
    assert!(stdout(&output).ends_with("sh can be served: it calls libc\n"), "{output:?}");
}

#[test]
fn a_program_that_is_not_there_is_127() {
    assert_not_served(Path::new("no-such-program"), 127, "no-such-program is not found");
    assert_not_served(Path::new("/no/such/program"), 127, "/no/such/program is not found");
    assert_not_served(Path::new("/etc/passwd/program"), 127, "not found");
    assert_not_served(Path::new(""), 127, "'' is not found");
}

#[test]
fn a_directory_and_a_file_without_the_right_to_run_are_126() {
    let room = room("rights");
    let file = script(&room, "file", "exit 3\n");
    make_mode(&file, 0o644);
    assert_not_served(&file, 126, "not executable");
    assert_not_served(&room, 126, "is a directory");
    // A file that cannot be reached, and one on a file system mounted noexec.
    // SAFETY: the call has no argument and cannot fail.
    if unsafe { libc::getuid() } == 0 {
        let shut = room.join("shut");
        fs::create_dir_all(&shut).unwrap();
        script(&shut, "file", "exit 3\n");
        make_mode(&shut, 0o700);
        let ids = ["--reuid=65534", "--regid=65534", "--clear-groups", LAUNCHER, "--"];
        let output = run(command("setpriv").args(ids).arg(shut.join("file")));
        assert_refused(&output, 126, "permission denied; a directory of its path does not grant search permission");
        let words = format!(
            "mount -t tmpfs -o noexec none {0} && cp /bin/true {0}/file && exec {LAUNCHER} {0}/file",
            shut.display()
        );
        let output = run(command("unshare").args(["-m", "sh", "-c", &words]));
        if !stderr(&output).starts_with("unshare") && !stderr(&output).starts_with("mount") {
            assert_refused(&output, 126, "its file system is mounted noexec");
        }
    }
    // The same in PATH, where a file that cannot be run does not end the search.
    let in_path = |path: &OsStr| run(launcher(["file"]).env("PATH", path));
    assert_refused(&in_path(room.as_os_str()), 126, "not executable");
    let second = room.join("second");
    fs::create_dir_all(&second).unwrap();
    script(&second, "file", "exit 3\n");
    let both = [&room, &second].map(|dir| dir.display().to_string()).join(":");
    assert_code(&in_path(both.as_ref()), 3);
}

#[test]
fn a_static_program_is_refused_rather_than_run_without_the_library() {
    let room = room("static");
    // It makes a call that the library wants in a form of its own.
    let source = "#include <stdio.h>\nint main(void) { long n = 3; __asm__ volatile(\"nop; syscall; nop\"
        : \"+a\"(n) : \"D\"(-1L) : \"rcx\", \"r11\"); puts(\"ran\"); return 0; }";
    for flag in ["-static", "-static-pie"] {
        let program = compile(&room, flag, source, &[flag]);
        assert_not_served(&program, 125, "statically linked");
        let script = script(&room, "script", &format!("#!{}\n", program.display()));
        assert_not_served(&script, 125, &format!("its interpreter {}", program.display()));
    }
}

#[test]
fn a_setuid_or_setgid_program_is_refused_unless_the_bits_are_without_effect() {
    let room = room("setuid");
    let source = "#include <sys/auxv.h>\nint main(void) { return getauxval(AT_SECURE) != 0; }";
    let program = compile(&room, "program", source, &[]);

    // The bits of the user's own ids change nothing, and the start is an ordinary one.
    make_mode(&program, 0o4755);
    assert_code(&run(launcher(["--"]).arg(&program)), 0);

    // SAFETY: the call has no argument and cannot fail.
    if unsafe { libc::getuid() } != 0 {
        // Only root can give files away, so this takes a setuid program of the system.
        let given = ["/usr/bin/passwd", "/usr/bin/su", "/bin/su", "/usr/bin/mount"];
        let setuid = |path: &&Path| path.metadata().is_ok_and(|m| m.permissions().mode() & 0o4000 != 0);
        let program = given.map(Path::new).into_iter().find(setuid);
        return assert_not_served(program.expect("a setuid program"), 125, "is setuid");
    }
    chown(&program, Some(65534), Some(65534)).unwrap();
    for (mode, words) in [(0o4755, "is setuid"), (0o2755, "is setgid")] {
        make_mode(&program, mode);
        assert_not_served(&program, 125, words);
        // A process that can gain no privileges, as one under the filter, gets none from these
        // bits.
        let check = run(launcher(["--no-kernel-epoll", "--check"]).arg(&program));
        assert_code(&check, 0);
        let bit = words.trim_start_matches("is ");
        let said =
            format!("can be served: it calls libc, but its {bit} bit has no effect, because --no-kernel-epoll sets");
        assert!(stdout(&check).contains(&said), "{check:?}");
        assert_code(&run(launcher(["--no-kernel-epoll"]).arg(&program)), 0);
    }
    // The setgid bit means something else if the group may not execute the file.
    make_mode(&program, 0o2745);
    assert_code(&run(launcher(["--"]).arg(&program)), 0);
}

#[test]
fn a_program_of_another_machine_or_libc_is_refused() {
    let room = room("machine");
    let other = doctored_elf(&room, "other", OTHER_MACHINE, "/lib/ld.so");
    assert_not_served(&other, 125, "but the library is for");
    let musl = doctored_elf(&room, "musl", THIS_MACHINE, "/lib/ld-musl-any.so.1");
    assert_not_served(&musl, 125, "musl");
    let lost = doctored_elf(&room, "lost", THIS_MACHINE, "/no/ld.so");
    assert_not_served(&lost, 125, "the dynamic linker /no/ld.so, which does not exist");
    let narrow = room.join("narrow");
    let mut header = vec![0; 52];
    header[..8].copy_from_slice(b"\x7fELF\x01\x01\x01\0");
    (header[16], header[18]) = (2, 3);
    fs::write(&narrow, header).unwrap();
    make_mode(&narrow, 0o755);
    assert_not_served(&narrow, 125, "i386");
}

#[test]
fn a_damaged_program_is_refused() {
    let room = room("damaged");
    let program = doctored_elf(&room, "program", THIS_MACHINE, "/lib/ld.so");
    let whole = fs::read(&program).unwrap();
    fs::write(&program, &whole[..100]).unwrap();
    assert_not_served(&program, 125, "damaged");
    // A file that begins like an ELF file is not a script, however short it is.
    for short in [4, 15, 40] {
        fs::write(&program, &whole[..short]).unwrap();
        assert_not_served(&program, 125, "damaged");
    }
    fs::write(&program, b"neither\0this nor that").unwrap();
    assert_not_served(&program, 126, "neither an ELF program nor a script");
}

#[test]
fn a_script_is_judged_by_its_interpreter() {
    let room = room("script");
    let served = |first_line: &str| {
        let script = script(&room, "script", &format!("{first_line}\nexit 6\n"));
        assert_code(&run(launcher(["--check"]).arg(&script)), 0);
        assert_code(&run(launcher(["--"]).arg(&script)), 6);
    };
    served("#!/bin/sh");
    served("#! /bin/sh -u");
    served("#!/usr/bin/env sh");
    served("#!/usr/bin/env -S A=1 sh -u");
    // execvp(3) gives a text without a first line to the shell.
    served("");

    let refused = |first_line: &str, code, words| {
        let script = script(&room, "script", &format!("{first_line}\nexit 6\n"));
        assert_not_served(&script, code, words);
    };
    refused("#!/no/such/sh", 126, "its interpreter /no/such/sh is not found");
    refused("#!/usr/bin/env no-such-sh", 126, "its interpreter no-such-sh is not found");
    refused("#!/usr/bin/env -S -i sh", 125, "remove LD_PRELOAD");
    let itself = room.join("script").display().to_string();
    refused(&format!("#!{itself}"), 126, "scripts that name each other");
}

/// A program with the note and the section of Go's linker, whose runtime makes threads, and calls in
/// the two forms of the runtime: close, any number, and mmap, which the library need not see.
const GO: &str = r#"
#include <pthread.h>
__attribute__((section(".go.buildinfo"))) char info[] = "\xff Go buildinf:";
#ifndef WITHOUT_ID
__asm__(".pushsection .note.go.buildid,\"a\",@note\n .long 4, 4, 4\n .asciz \"Go\\0\"\n .ascii \"test\"\n .popsection");
#endif
#if defined __x86_64__ && !defined WITHOUT_CALLS
__asm__(".text\n mov $-1, %edi\n mov $3, %eax\n syscall\n syscall\n cmp $-4095, %rax\n mov $9, %eax\n syscall\n ret\n");
#endif
#ifdef UNCLEAR
__asm__(".text\n mov $0, %r8d\n syscall\n");
#endif
#ifndef WITHOUT_CGO
static void *run(void *arg) { return arg; }
int main(void) { pthread_t thread; return info[0] == 0 || pthread_create(&thread, 0, run, 0) || pthread_join(thread, 0); }
#else
int main(void) { return info[0] == 0; }
#endif
"#;

#[test]
#[cfg(target_arch = "x86_64")]
fn a_go_program_is_rewritten_if_its_threads_and_its_instructions_are_known() {
    let room = room("go");
    let program = compile(&room, "program", GO, &[]);
    let check = run(launcher(["--check"]).arg(&program));
    assert_code(&check, 0);
    let said = "can be served: it makes its own system calls, and 2 instructions are rewritten when it is loaded\n";
    assert!(stdout(&check).ends_with(said), "{check:?}");
    assert_code(&run(launcher(["--no-kernel-epoll", "--"]).arg(&program)), 0);
    let off = run(launcher(["--"]).arg(&program).env("EPOLYFILL_RAW", "no"));
    assert_refused(
        &off,
        125,
        "is a Go program, which makes its own system calls, and EPOLYFILL_RAW=no leaves them alone",
    );

    let refused = |define: &str, words: &str| {
        let program = compile(&room, "refused", GO, &[define]);
        assert_not_served(&program, 125, words);
    };
    refused("-DWITHOUT_CGO", "and, without cgo, its own threads");
    refused("-DWITHOUT_ID", "has no build id");
    refused("-DWITHOUT_CALLS", "by instructions of an unknown form");
    refused("-DUNCLEAR", "by instructions of an unknown form");
}

#[test]
fn a_script_for_a_go_program_without_cgo_is_refused() {
    let room = room("go-script");
    let program = compile(&room, "program", GO, &["-DWITHOUT_CGO"]);
    let script = script(&room, "script", &format!("#!{}\n", program.display()));
    assert_not_served(&script, 125, "is a Go program");
}

const RAW: &str = "
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined __x86_64__
static inline long raw(long call, long a, long b, long c, long d) {
    register long r10 __asm__(\"r10\") = d;
    long result;
    __asm__ volatile(\"syscall\" : \"=a\"(result) : \"a\"(call), \"D\"(a), \"S\"(b), \"d\"(c), \"r\"(r10) : \"rcx\", \"r11\", \"memory\");
    return result;
}
#else
static inline long raw(long call, long a, long b, long c, long d) {
    register long x8 __asm__(\"x8\") = call, x0 __asm__(\"x0\") = a, x1 __asm__(\"x1\") = b, x2 __asm__(\"x2\") = c, x3 __asm__(\"x3\") = d;
    __asm__ volatile(\"svc 0\" : \"+r\"(x0) : \"r\"(x8), \"r\"(x1), \"r\"(x2), \"r\"(x3) : \"memory\");
    return x0;
}
#endif
#ifdef RUST
extern char _Unwind_GetTextRelBase[], _Unwind_Backtrace[];
char *volatile imported[] = {_Unwind_GetTextRelBase, _Unwind_Backtrace};
#endif
int main(void) {
    struct epoll_event event = {.events = EPOLLIN};
    long ep = raw(SYS_epoll_create1, 0, 0, 0, 0);
    raw(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, 0, (long) &event);
    raw(SYS_epoll_pwait, ep, (long) &event, 1, 0);
#ifdef MIXED
    return epoll_create1(0) < 0;
#endif
#ifdef RUST
    return ep < 0;
#endif
    return 0;
}
";

#[test]
fn a_program_that_makes_its_epoll_calls_by_instructions_of_its_own_is_refused() {
    let room = room("instructions");
    let optimized = if cfg!(target_arch = "x86_64") { ["-O0", "-O2"] } else { ["-O2", "-Os"] };
    for level in optimized {
        let program = compile(&room, "program", RAW, &[level]);
        assert_not_served(
            &program,
            125,
            "epoll_create1, epoll_ctl, epoll_pwait) by system call instructions of its own",
        );
        // A program may have both kinds of calls.
        let program = compile(&room, "mixed", RAW, &[level, "-DMIXED"]);
        let check = run(launcher(["--check"]).arg(&program));
        assert_code(&check, 0);
        assert!(
            stdout(&check).contains("can be served: it calls libc, but not for the epoll calls that it makes"),
            "{check:?}"
        );
        assert_code(&run(launcher(["--"]).arg(&program)), 0);
    }
}

#[test]
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
fn a_program_like_those_of_rust_is_trapped_if_its_addresses_are_random() {
    let room = room("trapped");
    for level in ["-O0", "-O2"] {
        let program = compile(&room, "program", RAW, &[level, "-DRUST"]);
        let check = run(launcher(["--check"]).arg(&program));
        assert_code(&check, 0);
        assert!(stdout(&check).contains("can be served: it makes its own system calls, and "), "{check:?}");
        assert!(stdout(&check).ends_with(" instructions are trapped\n"), "{check:?}");
        assert_code(&run(launcher(["--no-kernel-epoll", "--"]).arg(&program)), 0);
        let off = run(launcher(["--"]).arg(&program).env("EPOLYFILL_RAW", "no"));
        assert_refused(&off, 125, "instructions of its own, and EPOLYFILL_RAW=no leaves them alone");
        let fixed = run(command("setarch").args(["-R", LAUNCHER, "--"]).arg(&program));
        assert_refused(&fixed, 125, "which can be trapped at random addresses only, and those of this process are not");
    }
    let program = compile(&room, "mixed", RAW, &["-DRUST", "-DMIXED"]);
    let check = run(launcher(["--check"]).arg(&program));
    assert_code(&check, 0);
    assert!(stdout(&check).contains("can be served: it calls libc, and "), "{check:?}");
    assert!(stdout(&check).ends_with(" system call instructions of its own are trapped\n"), "{check:?}");
    let program = compile(&room, "fixed", RAW, &["-DRUST", "-no-pie"]);
    assert_not_served(&program, 125, "which cannot be trapped at fixed addresses");
}

#[test]
fn check_looks_at_what_a_program_in_between_starts() {
    let room = room("between");
    let source = "int main(void) { long n = 3; __asm__ volatile(\"nop; syscall; nop\" : \"+a\"(n) : \"D\"(-1L)
        : \"rcx\", \"r11\"); return 0; }";
    let program = compile(&room, "program", source, &["-static"]);
    let path = program.to_str().unwrap();
    for words in [&["nohup", path][..], &["env", "A=1", path], &["timeout", "5", path]] {
        let output = run(launcher(["--check"]).args(words));
        assert_refused(&output, 125, "can be served: it calls libc, but it starts a program that cannot");
        assert!(stderr(&output).contains("statically linked"), "{output:?}");
    }
    let output = run(&mut launcher(["--check", "env", "sh"]));
    assert_code(&output, 0);
    assert!(stdout(&output).contains("sh can be served: it calls libc, started by"), "{output:?}");
    // The commands of a shell's command line are not known.
    assert_code(&run(&mut launcher(["--check", "sh", "-c", path])), 0);
}

// Programs that the program starts

/// A child with an empty environment, which prints whether the library is loaded.
const CHILD: &str = "env -i sh -c 'grep -c libepolyfill /proc/self/maps'";

#[test]
fn what_the_program_starts_is_served_whatever_its_environment() {
    let served = |words: &[&str]| {
        let output = run(&mut launcher(words));
        stdout(&output).trim_end().parse::<u32>().unwrap() > 0
    };
    let plain = "sh -c 'grep -c libepolyfill /proc/self/maps'";
    assert!(served(&["--", "sh", "-c", CHILD]));
    assert!(served(&["--", "env", "-i", "sh", "-c", CHILD]));
    assert!(served(&["--no-children", "--", "grep", "-c", "libepolyfill", "/proc/self/maps"]));
    assert!(!served(&["--no-children", "--", "sh", "-c", CHILD]));
    assert!(!served(&["--no-children", "--", "sh", "-c", plain]));
    // A setting that excludes a single child of a served program.
    assert!(!served(&["--", "env", "-u", "LD_PRELOAD", "EPOLYFILL_CHILDREN=no", "sh", "-c", plain]));
}

#[test]
fn no_children_keeps_what_else_is_in_ld_preload() {
    let mut command = launcher(["--no-children", "--", "printenv", "LD_PRELOAD"]);
    assert_eq!(stdout(&run(command.env("LD_PRELOAD", "libm.so.6"))), "libm.so.6\n");
    let mut command = launcher(["--no-children", "--", "printenv", "LD_PRELOAD"]);
    assert_eq!(stdout(&run(command.env_remove("LD_PRELOAD"))), "");
}
