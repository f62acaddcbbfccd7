//! The demo.

use crate::support::*;

#[test]
fn the_demo_checks_its_work_and_ends_with_a_table() {
    let output = run(&mut launcher(["--demo"]));
    assert_code(&output, 0);
    let said = stdout(&output);
    assert!(said.contains("the kernel refused epoll (ENOSYS)"), "{said}");
    let table: Vec<&str> = said.lines().skip(3).take(4).collect();
    let sources = ["epolyfill, poll", "epolyfill, uring", "kernel's epoll", "plain poll"];
    for (line, source) in table.iter().zip(sources) {
        assert!(line.starts_with(source), "{source} is not in: {line}");
        // Each has a rate, except uring where the kernel refuses rings.
        assert!(line.ends_with('█') || source.ends_with("uring") && line.ends_with("n/a"), "{line}");
    }
}

#[test]
fn the_demo_shows_the_poller_that_is_asked_for() {
    let said = stdout(&run(&mut launcher(["--demo", "--poller=auto"])));
    let table: Vec<&str> = said.lines().skip(3).take(3).collect();
    for (line, source) in table.iter().zip(["epolyfill, auto", "kernel's epoll", "plain poll"]) {
        assert!(line.starts_with(source) && line.ends_with('█'), "{source} is not in: {line}");
    }
}

#[test]
fn the_demo_says_in_one_line_what_failed() {
    let room = room("demo");
    // A library that has the right names and no epoll, under a filter that leaves none.
    let source = "#include <errno.h>\nint epolyfill_version; int epoll_create1(int f) { errno = ENOSYS; return -1; }";
    let library = compile(&room, "libepolyfill.so", source, &["-shared", "-fPIC"]);
    let output = run(launcher(["--demo"]).env("EPOLYFILL_LIBRARY", &library));
    assert_code(&output, 125);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.starts_with("epolyfill: demo: on epolyfill, poll: "), "{complaint}");
    assert!(complaint.contains("Function not implemented"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
}
