//! One step of a history, and a whole history as text.
//!
//! A step is a verb and numbers. Descriptors and instances go by names of their own (`desc=3`, `pair=0`), not by their numbers, and a
//! step that names what does not exist is left out: so any part of a history is a history, which is what shrinking needs.

use std::fmt;

/// The most arguments a verb has.
pub const ARGS: usize = 6;

macro_rules! verbs {
    ($($(#[$meta:meta])* $verb:ident $word:literal [$($arg:literal),*];)*) => {
        /// What a step does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Verb { $($(#[$meta])* $verb),* }

        impl Verb {
            pub const ALL: &[Verb] = &[$(Verb::$verb),*];

            pub const fn word(self) -> &'static str {
                match self { $(Verb::$verb => $word),* }
            }

            /// The names of its arguments.
            pub const fn args(self) -> &'static [&'static str] {
                match self { $(Verb::$verb => &[$($arg),*]),* }
            }
        }
    };
}

verbs! {
    /// An instance on either side.
    Instance "instance" ["pair", "flags"];
    /// Closes an instance on either side.
    EndInstance "end-instance" ["pair"];
    /// Opens a descriptor, or two that are connected.
    Open "open" ["desc", "other", "kind", "variant"];
    /// Closes a descriptor, in one of several ways.
    Close "close" ["desc", "how"];
    /// Closes with a reset (SO_LINGER 0).
    Reset "reset" ["desc"];
    Dup "dup" ["desc", "new", "how"];
    /// Duplicates `desc` onto the number of `over`.
    DupOver "dup-over" ["desc", "over", "how"];
    /// epoll_ctl on either side. Targets of 100 and more are instances, of 200 and more are nonsense.
    Control "ctl" ["pair", "op", "target", "mask", "data"];
    /// A wait on either side, as long as `ns` nanoseconds.
    Wait "wait" ["pair", "max", "ns", "call", "order"];
    /// A wait with arguments that are wrong in one of several ways.
    BadWait "bad-wait" ["pair", "how"];
    /// As many waits for one event as there are events: each gets its turn.
    Rotate "rotate" ["pair"];
    /// A wait on every instance.
    Sweep "sweep" [];
    /// poll on the instance's descriptor.
    Poll "poll" ["pair", "events"];
    Write "write" ["desc", "size", "how"];
    /// Writes until EAGAIN.
    Fill "fill" ["desc", "size", "how"];
    Read "read" ["desc", "size", "how"];
    /// Reads until EAGAIN or the end.
    Drain "drain" ["desc", "size", "how"];
    /// Looks without taking (MSG_PEEK).
    Peek "peek" ["desc", "size"];
    /// splice from one to the other.
    Splice "splice" ["desc", "to", "size"];
    Tee "tee" ["desc", "to", "size"];
    /// Urgent data.
    SendUrgent "send-urgent" ["desc"];
    ReadUrgent "read-urgent" ["desc"];
    Shutdown "shutdown" ["desc", "how"];
    Connect "connect" ["listener", "new", "variant"];
    /// connect of a socket that exists already, to a listener or to where nobody listens (`listener` -1).
    ConnectAgain "connect-again" ["desc", "listener"];
    /// A connection that begins with a write (MSG_FASTOPEN), as `connect-again` does.
    ConnectByWrite "connect-by-write" ["desc", "listener", "how"];
    /// connect to no address, which ends a connection and lets another one begin.
    Disconnect "disconnect" ["desc"];
    Accept "accept" ["listener", "new"];
    /// Opens a FIFO again that another descriptor has open.
    OpenAgain "open-again" ["desc", "new", "mode"];
    SetTimer "set-timer" ["desc", "how"];
    /// A signalfd gets the mask of these signals.
    Mask "mask" ["desc", "variant"];
    /// tcflush, tcsetattr or tcflow.
    ControlTerminal "control-terminal" ["desc", "how"];
    /// A signal for a signalfd.
    Signal "signal" ["desc", "which"];
    /// The child behind a pidfd ends.
    EndChild "end-child" ["desc"];
    /// Something happens to the file an inotify descriptor watches.
    Touch "touch" ["desc", "how"];
    /// An event for a file whose poll takes what it shows: a mount changes, or a page fault is sampled.
    Change "change" ["desc"];
    /// getsockopt(SO_ERROR), which collects a pending error.
    TakeError "take-error" ["desc"];
    /// Takes from the queue of errors (MSG_ERRQUEUE), at most so many.
    TakeErrors "take-errors" ["desc", "count"];
    /// setsockopt of one of several options.
    SetOption "set-option" ["desc", "option", "value"];
    PipeSize "pipe-size" ["desc", "size"];
    /// A forked child does something with a descriptor and exits.
    Child "child" ["desc", "what", "size"];
    /// Silent eventfds join the instance.
    Crowd "crowd" ["pair", "count"];
    /// One of them is written.
    StirCrowd "stir-crowd" ["index"];
    /// Threads sleep in a wait on both sides while the next steps are done.
    Sleepers "sleepers" ["pair", "count", "max"];
    /// They are judged and called back.
    Settle "settle" [];
    /// Nothing, for so many microseconds.
    Pause "pause" ["us"];
    /// Everything ends, and another history begins in the same process: the library has a past.
    Anew "anew" [];
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    pub verb: Verb,
    pub args: [i64; ARGS],
}

impl Op {
    pub fn new(verb: Verb, given: &[i64]) -> Op {
        let mut args = [0; ARGS];
        args[..given.len()].copy_from_slice(given);
        Op { verb, args }
    }

    /// An argument as an index; -1 and the like are far out of reach.
    pub fn index(&self, at: usize) -> usize {
        usize::try_from(self.args[at]).unwrap_or(usize::MAX)
    }

    pub fn parse(line: &str) -> Result<Op, String> {
        let mut words = line.split_whitespace();
        let word = words.next().unwrap_or("");
        let verb = Verb::ALL.iter().copied().find(|verb| verb.word() == word);
        let verb = verb.ok_or_else(|| format!("no such step: {word}"))?;
        let mut args = [0; ARGS];
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("not NAME=NUMBER: {word}"))?;
            let at = verb.args().iter().position(|&arg| arg == name);
            let at = at.ok_or_else(|| format!("{} has no argument {name}", verb.word()))?;
            let number = match value.strip_prefix("0x") {
                Some(digits) => i64::from_str_radix(digits, 16),
                None => value.parse(),
            };
            args[at] = number.map_err(|_| format!("no number: {word}"))?;
        }
        Ok(Op { verb, args })
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb.word())?;
        for (name, value) in self.verb.args().iter().zip(self.args) {
            match *name {
                "mask" | "events" => write!(f, " {name}={value:#x}")?,
                _ => write!(f, " {name}={value}")?,
            }
        }
        Ok(())
    }
}

/// A history as text: a step a line; lines that begin with `#` and empty ones are for people.
pub fn parse_history(text: &str) -> Result<Vec<Op>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(Op::parse).collect()
}

pub fn print_history(ops: &[Op]) -> String {
    ops.iter().map(|op| format!("{op}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_survives_the_trip_through_text() {
        let ops: Vec<Op> = Verb::ALL
            .iter()
            .enumerate()
            .map(|(n, &verb)| {
                let args: Vec<i64> = verb.args().iter().enumerate().map(|(at, _)| (n * 7 + at) as i64 - 3).collect();
                Op::new(verb, &args)
            })
            .map(|mut op| {
                // Masks are printed in hexadecimal, which has no sign.
                for (at, name) in op.verb.args().iter().enumerate() {
                    if matches!(*name, "mask" | "events") {
                        op.args[at] = op.args[at].abs();
                    }
                }
                op
            })
            .collect();
        assert_eq!(parse_history(&format!("# a comment\n\n{}", print_history(&ops))), Ok(ops));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Op::parse("fly desc=1").is_err());
        assert!(Op::parse("close descriptor=1").is_err());
        assert!(Op::parse("close desc=one").is_err());
        assert!(Op::parse("close 1").is_err());
    }
}
