//! Settings of the library that make no sense, and those that do.

use crate::support::*;

const MAKES_AN_INSTANCE: &str = "#include <sys/epoll.h>\nint main(void) { return epoll_create1(0) < 0; }";

#[test]
fn wrong_settings_are_reported_once_with_their_values() {
    let room = room("settings");
    let program = compile(&room, "program", MAKES_AN_INSTANCE, &[]);
    let thrice = "\"$0\" && \"$0\" & \"$0\"; wait";
    let wrong = [("EPOLYFILL_POLLER", "bogus"), ("EPOLYFILL_STRICT", "perhaps"), ("EPOLYFILL_POLER", "poll")];
    let expected = [
        "EPOLYFILL_POLLER is 'bogus', which is not a poller",
        "EPOLYFILL_STRICT is 'perhaps', which is neither yes nor no",
        "EPOLYFILL_POLER is not a setting",
    ];
    let output = run(launcher(["sh", "-c", thrice]).arg(&program).envs(wrong));
    assert_code(&output, 0);
    assert_eq!(stderr(&output).lines().count(), 3, "{}", stderr(&output));
    for words in expected {
        assert!(stderr(&output).contains(words), "{words:?} is not in: {}", stderr(&output));
    }
    // A setting that an option overrides is not reported.
    let output = run(launcher(["--poller=poll", "true"]).env("EPOLYFILL_POLLER", "bogus"));
    assert_eq!(stderr(&output), "");

    // Without the launcher the report comes when an instance is made, and from one process of a
    // family.
    let forks = "#include <sys/epoll.h>\n#include <sys/wait.h>\n#include <unistd.h>\n\
        int main(int n, char **v) { if (n > 1) return 0; for (n = 0; n < 4; n++) if (!fork()) return epoll_create1(0) < 0;\n\
        while (wait(0) > 0); return 0; }";
    let program = compile(&room, "forks", forks, &[]);
    let mut command = command(&program);
    command.env("LD_PRELOAD", library()).envs(wrong);
    let output = run(&mut command);
    assert_eq!(stderr(&output).lines().count(), 3, "{}", stderr(&output));
    assert_eq!(stderr(&run(command.arg("none"))), "");
}

#[test]
fn switches_know_more_than_one_word() {
    let program = compile(&room("switches"), "program", MAKES_AN_INSTANCE, &[]);
    let counters = |value: &str| {
        let output = run(launcher(["--"]).arg(&program).env("EPOLYFILL_COUNTERS", value));
        !stderr(&output).is_empty()
    };
    assert!(["1", "yes", "True", "on"].into_iter().all(counters));
    assert!(!["0", "no", "FALSE", "off", ""].into_iter().any(counters));
}
