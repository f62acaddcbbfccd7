//! The command line of `--chaos`.

use crate::support::*;
use std::fs;

#[test]
fn chaos_that_makes_no_sense_is_refused() {
    let room = room("chaos");
    let words = |words: &[&str]| run(&mut launcher(words));
    let refused = |plan: &str, sentence: &str| assert_refused(&words(&["--chaos", plan, "true"]), 125, sentence);
    refused("x", "--chaos does not accept x: 'x' is not a seed, which is a number up to 18446744073709551615");
    refused("", "--chaos does not accept '': '' is not a seed");
    refused(
        "1,bogus",
        "--chaos does not accept 1,bogus: 'bogus' is not a kind of chaos; use all, or one of few, many,",
    );
    refused("1,few=2", "'2' is not a rate of few, which is above 0 and at most 1");
    refused("1,eintr=0.5", "the rate 0.5 of eintr is too high; at most 0.05");
    refused("@/nonexistent", "cannot read /nonexistent: no such file");
    let log = room.join("log");
    let taken = format!("@{}", log.display());
    fs::write(&log, "few 0 1 2 3 1\n").unwrap();
    refused(&taken, "log is cut short: the last line of a log of --chaos is 'end'");
    fs::write(&log, "few 0 1 2 3 1\nfew 0 1\nend\n").unwrap();
    refused(&taken, "line 2 of ");
    fs::write(&log, "end\n").unwrap();
    assert_refused(
        &words(&["--chaos-hunt", "5", "--chaos", &taken, "true"]),
        125,
        "--chaos-hunt draws its own decisions; give --chaos a seed",
    );
    for runs in ["0", "-1", "x", "", "1000001"] {
        assert_refused(&words(&[&format!("--chaos-hunt={runs}"), "true"]), 125, "use a number from 1 to 1000000");
    }
    assert_refused(&words(&["--chaos-hunt=5"]), 125, "no program given");
    assert_refused(
        &words(&["--chaos-hunt=5", "--audit", "true"]),
        125,
        "--chaos-hunt does not observe its runs otherwise",
    );
    assert_refused(&words(&["--chaos-log=x", "true"]), 125, "--chaos-log has no effect without --chaos");
    assert_refused(&words(&["--doctor", "--chaos=1"]), 125, "--chaos has no effect with --doctor");
    assert_refused(&words(&["--chaos-hunt=5", "--check", "true"]), 125, "mutually exclusive");
    let copy = room.join("libepolyfill.so");
    fs::copy(library(), &copy).unwrap();
    let output = run(launcher(["--chaos=1", "true"]).env("EPOLYFILL_LIBRARY", &copy));
    assert_refused(&output, 125, "--chaos needs libepolyfill-see.so, which is not in ");
}
