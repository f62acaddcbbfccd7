//! One step of a history, and a whole history as text.
//!
//! A step is a verb and numbers. Descriptors and instances have names of their own (`desc=3`,
//! `pair=0`), which are not their numbers, and a step that names something that does not exist is
//! left out. So any part of a history is a history, as shrinking needs.

use std::fmt;

/// The most arguments of a verb.
pub const ARGS: usize = 6;

macro_rules! verbs {
    ($($(#[$meta:meta])* $verb:ident $word:literal [$($arg:literal),*];)*) => {
        /// The action of a step.
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
    /// Makes an instance on either side.
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
    /// epoll_ctl on either side. Targets from 100 on are instances, targets from 200 on are
    /// invalid.
    Control "ctl" ["pair", "op", "target", "mask", "data"];
    /// Waits on either side, for `ns` nanoseconds.
    Wait "wait" ["pair", "max", "ns", "call", "order"];
    /// Waits with arguments that are invalid in one of several ways.
    BadWait "bad-wait" ["pair", "how"];
    /// Makes as many waits for one event as there are events: each gets its turn.
    Rotate "rotate" ["pair"];
    /// Waits on every instance.
    Sweep "sweep" [];
    /// poll on the instance's descriptor.
    Poll "poll" ["pair", "events"];
    Write "write" ["desc", "size", "how"];
    /// Writes until EAGAIN.
    Fill "fill" ["desc", "size", "how"];
    Read "read" ["desc", "size", "how"];
    /// Reads until EAGAIN or the end.
    Drain "drain" ["desc", "size", "how"];
    /// Peeks (MSG_PEEK).
    Peek "peek" ["desc", "size"];
    /// splice from one to the other.
    Splice "splice" ["desc", "to", "size"];
    Tee "tee" ["desc", "to", "size"];
    /// Sends urgent data.
    SendUrgent "send-urgent" ["desc"];
    ReadUrgent "read-urgent" ["desc"];
    Shutdown "shutdown" ["desc", "how"];
    Connect "connect" ["listener", "new", "variant"];
    /// Connects an existing socket, to a listener or to an address without one (`listener` -1).
    ConnectAgain "connect-again" ["desc", "listener"];
    /// Connects by a write (MSG_FASTOPEN), to the same addresses as `connect-again`.
    ConnectByWrite "connect-by-write" ["desc", "listener", "how"];
    /// Connects to no address, which ends a connection and permits another one.
    Disconnect "disconnect" ["desc"];
    Accept "accept" ["listener", "new"];
    /// Opens a FIFO again that another descriptor has open.
    OpenAgain "open-again" ["desc", "new", "mode"];
    SetTimer "set-timer" ["desc", "how"];
    /// Gives a signalfd the mask of these signals.
    Mask "mask" ["desc", "variant"];
    /// tcflush, tcsetattr or tcflow.
    ControlTerminal "control-terminal" ["desc", "how"];
    /// Sends a signal for a signalfd.
    Signal "signal" ["desc", "which"];
    /// Ends the child behind a pidfd.
    EndChild "end-child" ["desc"];
    /// Changes the file that an inotify descriptor watches.
    Touch "touch" ["desc", "how"];
    /// Makes an event on a file whose poll takes its level: a mount changes, or a page fault is
    /// sampled.
    Change "change" ["desc"];
    /// getsockopt(SO_ERROR), which takes a pending error.
    TakeError "take-error" ["desc"];
    /// Takes entries from the error queue (MSG_ERRQUEUE), at most `count`.
    TakeErrors "take-errors" ["desc", "count"];
    /// setsockopt of one of several options.
    SetOption "set-option" ["desc", "option", "value"];
    PipeSize "pipe-size" ["desc", "size"];
    /// Lets a forked child act on a descriptor and exit.
    Child "child" ["desc", "what", "size"];
    /// Adds silent eventfds to the instance.
    Crowd "crowd" ["pair", "count"];
    /// Writes to one of them.
    StirCrowd "stir-crowd" ["index"];
    /// Makes threads sleep in a wait on both sides during the next steps.
    Sleepers "sleepers" ["pair", "count", "max"];
    /// Judges these threads and ends their sleep.
    Settle "settle" [];
    /// Sleeps for `us` microseconds.
    Pause "pause" ["us"];
    /// Closes everything, and begins another history in the same process, in which the library has
    /// a past.
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

    /// An argument as an index; negative ones are far out of range.
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

/// Parses a history: one step per line; empty lines and lines that begin with `#` are comments.
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
