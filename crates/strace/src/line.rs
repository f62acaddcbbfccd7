//! One line of strace's output: thread, time, and the part of a call that it shows.

/// The time at the beginning of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Neither -t nor -r.
    None,
    /// -ttt: nanoseconds since the epoch.
    Epoch(u64),
    /// -tt: nanoseconds since midnight.
    Day(u64),
    /// -r: nanoseconds since the line before.
    Relative(u64),
    /// -t: too coarse to be of use.
    Seconds,
}

/// The thread at the beginning of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// No prefix: the only thread.
    Alone,
    /// `[pid N]`: on a terminal, while there are several.
    Bracketed(i32),
    /// A column of numbers: -f with -o.
    Column(i32),
}

/// The rest of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A whole call: its name, and the text after the opening parenthesis.
    Call { name: &'a str, rest: &'a str },
    /// The first half of a call.
    Unfinished { name: &'a str, args: &'a str },
    /// The second half.
    Resumed { name: &'a str, rest: &'a str },
    /// The thread ended, with a status if it exited by itself.
    Exited { status: i32 },
    /// The thread became another thread by execve.
    Superseded { by: i32 },
    /// A signal; `child` is the process that ended, of SIGCHLD.
    Signal { child: Option<i32> },
    /// strace begins to follow a thread. With `threads` it is a running process with others.
    Attached { tid: i32, threads: bool },
    /// strace has left the thread.
    Detached,
    /// Not strace's.
    Foreign,
}

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub who: Who,
    pub time: Time,
    pub body: Body<'a>,
}

/// Reads a line.
pub fn line(text: &str) -> Line<'_> {
    let (who, time, rest) = prefix(text);
    Line { who, time, body: body(rest) }
}

/// The thread and the time of a line, and the rest of it.
pub fn prefix(text: &str) -> (Who, Time, &str) {
    let mut rest = text.trim_start();
    // As quoted in a mail.
    while let Some(quoted) = rest.strip_prefix("> ") {
        rest = quoted.trim_start();
    }
    let (who, rest) = who(rest);
    let (time, rest) = time(rest);
    (who, time, without_address(rest))
}

fn digits(text: &str) -> (&str, &str) {
    let n = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(n)
}

fn number(text: &str) -> Option<(i32, &str)> {
    let (number, rest) = digits(text);
    Some((number.parse().ok()?, rest))
}

/// -Y adds the name of the program.
fn without_name(text: &str) -> &str {
    match text.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((_, rest)) => rest,
        None => text,
    }
}

fn who(text: &str) -> (Who, &str) {
    if let Some(rest) = text.strip_prefix("[pid")
        && let Some((tid, rest)) = number(rest.trim_start())
        && let Some(rest) = without_name(rest).strip_prefix(']')
    {
        return (Who::Bracketed(tid), rest.trim_start());
    }
    match number(text) {
        Some((tid, rest)) if without_name(rest).starts_with(' ') => (Who::Column(tid), without_name(rest).trim_start()),
        _ => (Who::Alone, text),
    }
}

/// The nanoseconds of a fraction with up to nine digits.
fn fraction(text: &str) -> u64 {
    let mut ns = 0;
    for place in 0..9 {
        let digit = text.as_bytes().get(place).map_or(0, |byte| u64::from(byte - b'0'));
        ns = ns * 10 + digit;
    }
    ns
}

fn time(text: &str) -> (Time, &str) {
    let Some((time, rest)) = one_time(text) else { return (Time::None, text) };
    // -r beside another clock.
    let rest = rest.trim_start();
    match rest.strip_prefix("(+").and_then(|rest| rest.split_once(')')) {
        Some((_, rest)) => (time, rest.trim_start()),
        None => (time, rest),
    }
}

fn one_time(text: &str) -> Option<(Time, &str)> {
    let (first, rest) = digits(text);
    let whole: u64 = first.parse().ok()?;
    if let Some(rest) = rest.strip_prefix('.') {
        let (part, rest) = digits(rest);
        let ns = whole.checked_mul(1_000_000_000)?.checked_add(fraction(part))?;
        let time = if whole < 100_000_000 { Time::Relative(ns) } else { Time::Epoch(ns) };
        return rest.starts_with(' ').then_some((time, rest));
    }
    let (minutes, rest) = digits(rest.strip_prefix(':')?);
    let (seconds, rest) = digits(rest.strip_prefix(':')?);
    let (minutes, seconds): (u64, u64) = (minutes.parse().ok()?, seconds.parse().ok()?);
    if whole > 24 || minutes > 59 || seconds > 60 {
        return None;
    }
    let Some(part) = rest.strip_prefix('.') else { return Some((Time::Seconds, rest)) };
    let (part, rest) = digits(part);
    let ns = ((whole * 60 + minutes) * 60 + seconds) * 1_000_000_000 + fraction(part);
    Some((Time::Day(ns), rest))
}

/// -i adds the address of the call, `[00007f1234567890] `.
fn without_address(text: &str) -> &str {
    match text.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((address, rest)) if !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b'?') => {
            rest
        }
        _ => text,
    }
}

fn body(text: &str) -> Body<'_> {
    let text = text.trim_end();
    match text.as_bytes().first() {
        Some(b'a'..=b'z' | b'_') => call(text).or_else(|| strace_itself(text)).unwrap_or(Body::Foreign),
        Some(b'<') => resumed(text).unwrap_or(Body::Foreign),
        Some(b'+') => ended(text).unwrap_or(Body::Foreign),
        Some(b'-') if text.starts_with("--- SIG") => {
            let child = text.starts_with("--- SIGCHLD").then(|| text.split_once("si_pid=")).flatten();
            Body::Signal { child: child.and_then(|(_, rest)| number(rest)).map(|(child, _)| child) }
        }
        _ => Body::Foreign,
    }
}

const UNFINISHED: &str = "<unfinished ...>";

fn call(text: &str) -> Option<Body<'_>> {
    let n = text.bytes().take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_').count();
    let (name, rest) = text.split_at(n);
    let rest = rest.strip_prefix('(')?;
    if let Some(args) = unfinished(rest) {
        return Some(Body::Unfinished { name, args });
    }
    // On a terminal the line of a new thread comes in the middle of the call that made it.
    if rest.ends_with(" attached")
        && let Some(at) = rest.rfind("strace: Process ")
    {
        return Some(Body::Unfinished { name, args: &rest[..at] });
    }
    Some(Body::Call { name, rest })
}

fn unfinished(text: &str) -> Option<&str> {
    text.strip_suffix(UNFINISHED).or_else(|| text.strip_suffix("<unfinished ...>) = ?").map(str::trim_end))
}

fn resumed(text: &str) -> Option<Body<'_>> {
    let (name, rest) = text.strip_prefix("<... ")?.split_once(" resumed>")?;
    if unfinished(rest).is_some() {
        return Some(Body::Foreign);
    }
    Some(Body::Resumed { name, rest })
}

fn ended(text: &str) -> Option<Body<'_>> {
    let rest = text.strip_prefix("+++ ")?;
    if let Some(rest) = rest.strip_prefix("exited with ") {
        return Some(Body::Exited { status: number(rest)?.0 });
    }
    if rest.starts_with("killed by ") {
        return Some(Body::Exited { status: 128 });
    }
    let by = rest.strip_prefix("superseded by execve in pid ")?;
    Some(Body::Superseded { by: number(by)?.0 })
}

fn strace_itself(text: &str) -> Option<Body<'_>> {
    let (tid, rest) = number(text.strip_prefix("strace: Process ")?)?;
    if rest.starts_with(" attached") {
        return Some(Body::Attached { tid, threads: rest.contains("threads") });
    }
    rest.starts_with(" detached").then_some(Body::Detached)
}

/// The rest of a call after the line of a new thread in its middle, if nothing else came between.
pub fn continued(text: &str) -> Option<&str> {
    (text.contains(" = ") && unfinished(text.trim_end()).is_none()).then_some(text)
}

/// The thread that a line says was attached in the middle of a call.
pub fn attached_within(text: &str) -> Option<i32> {
    let text = text.trim_end().strip_suffix(" attached")?;
    Some(number(&text[text.rfind("strace: Process ")? + "strace: Process ".len()..])?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_strace_is_read() {
        let call = Body::Call { name: "close", rest: "3) = 0" };
        for (text, who, time) in [
            ("close(3) = 0", Who::Alone, Time::None),
            ("[pid  77] close(3) = 0", Who::Bracketed(77), Time::None),
            ("[pid  77<cat>] close(3) = 0", Who::Bracketed(77), Time::None),
            ("77  close(3) = 0", Who::Column(77), Time::None),
            ("77 1796013676.225976 close(3) = 0", Who::Column(77), Time::Epoch(1_796_013_676_225_976_000)),
            ("00:00:01.5 close(3) = 0", Who::Alone, Time::Day(1_500_000_000)),
            ("[pid 77] 10:00:01 close(3) = 0", Who::Bracketed(77), Time::Seconds),
            ("     0.000123 close(3) = 0", Who::Alone, Time::Relative(123_000)),
            ("77  1.000000 close(3) = 0", Who::Column(77), Time::Relative(1_000_000_000)),
            ("00:00:00.000001 (+     0.000123) close(3) = 0", Who::Alone, Time::Day(1000)),
            ("> > 00:00:00.000001 [00007f12aabbccdd] close(3) = 0", Who::Alone, Time::Day(1000)),
        ] {
            assert_eq!(line(text), Line { who, time, body: call }, "{text}");
        }
    }

    #[test]
    fn every_kind_of_line_is_told_from_what_is_not_of_strace() {
        for (text, expected) in [
            ("read(3,  <unfinished ...>", Body::Unfinished { name: "read", args: "3,  " }),
            ("read(3, <unfinished ...>) = ?", Body::Unfinished { name: "read", args: "3," }),
            ("clone3({}strace: Process 9 attached", Body::Unfinished { name: "clone3", args: "{}" }),
            ("<... read resumed>\"\", 9) = 0", Body::Resumed { name: "read", rest: "\"\", 9) = 0" }),
            ("+++ exited with 3 +++", Body::Exited { status: 3 }),
            ("+++ killed by SIGKILL +++", Body::Exited { status: 128 }),
            ("+++ superseded by execve in pid 9 +++", Body::Superseded { by: 9 }),
            ("--- SIGCHLD {si_signo=SIGCHLD, si_pid=9} ---", Body::Signal { child: Some(9) }),
            ("--- stopped by SIGTSTP ---", Body::Foreign),
            ("strace: Process 9 attached", Body::Attached { tid: 9, threads: false }),
            ("strace: Process 9 attached with 4 threads", Body::Attached { tid: 9, threads: true }),
            ("strace: Process 9 detached", Body::Detached),
            ("server started, port 80", Body::Foreign),
            (" > /lib/libc.so.6(epoll_wait+0x57) [0x1037b7]", Body::Foreign),
            ("", Body::Foreign),
        ] {
            assert_eq!(line(text).body, expected, "{text}");
        }
    }
}
