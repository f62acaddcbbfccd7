//! Causes of events other than transfers: timers, signals, terminals, watched files, mounts, page
//! faults, children.

use std::time::{Duration, Instant};

use crate::calls;
use crate::fleeting;
use crate::kernel;
use crate::kinds::Kind;
use crate::known::Fact;
use crate::op::Op;
use crate::world::{Desc, SIGNALS, World, signals_of};

/// The names of `calls::control_terminal`, by how.
const TERMINAL_CALLS: [&str; 5] = ["tcflush", "tcsetattr", "tcsetattr TCSAFLUSH", "tcflow off", "tcflow on"];

impl World<'_> {
    pub(super) fn set_timer(&mut self, desc: Desc, how: i64) {
        if self.kind(desc) != Kind::Timerfd {
            return;
        }
        const FAR: i64 = 1_000_000_000_000;
        let (first, period) = match how {
            0 => (0, 0),
            1 => (1, 0),
            2 => (FAR, 0),
            3 => (20_000, 20_000),
            _ => (1, FAR),
        };
        let answer = calls::set_timer(desc.fd, first, period);
        self.files[desc.file].periodic = how == 3;
        if first > 0 && first < FAR {
            self.await_expiration(desc);
        }
        self.say(|| format!("timerfd_settime({}, {first} ns, then {period} ns) = {answer:?}", desc.fd));
    }

    /// Waits until a timer of the history has expired, unless it will not expire soon.
    pub(super) fn await_expiration(&mut self, desc: Desc) {
        let begun = Instant::now();
        while kernel::level(desc.fd, libc::POLLIN) == 0 && begun.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
    }

    /// Sets the signals of a signalfd.
    pub(super) fn mask(&mut self, desc: Desc, variant: i64) {
        if self.kind(desc) == Kind::Signalfd {
            let answer = calls::signalfd(desc.fd, &signals_of(variant));
            self.note_signal();
            self.say(|| format!("signalfd({}, {:?}) = {answer:?}", desc.fd, signals_of(variant)));
        }
    }

    /// Sends this process a signal.
    pub(super) fn queue_signal(&mut self, op: Op) {
        let signal = SIGNALS[op.index(1) % SIGNALS.len()];
        let answer = calls::queue_signal(signal);
        self.note_signal();
        self.say(|| format!("kill(self, {signal}) = {answer:?}"));
    }

    pub(super) fn control_terminal(&mut self, desc: Desc, op: Op) {
        if self.kind(desc) == Kind::Pty {
            let answer = calls::control_terminal(desc.fd, op.args[1]);
            let call = TERMINAL_CALLS[op.index(1) % TERMINAL_CALLS.len()];
            self.say(|| format!("{call}({}) = {answer:?}", desc.fd));
        }
    }

    /// Ends the child of a pidfd.
    pub(super) fn end_child(&mut self, desc: Desc) {
        if let Some(pid) = self.files[desc.file].child.take() {
            calls::kill_child(pid, || self.crew_rests());
            self.say(|| format!("the child behind {} ends", desc.fd));
        }
    }

    pub(super) fn touch(&mut self, desc: Desc, how: i64) {
        let Some(path) = self.files[desc.file].path.clone() else { return };
        if self.kind(desc) != Kind::Inotify {
            return;
        }
        if let Ok(fd) = calls::open(&path, libc::O_RDWR) {
            if how & 1 != 0 {
                kernel::write(fd, b"x");
            }
            kernel::close(fd);
        }
        self.say(|| {
            format!("the file that {} watches is opened{}", desc.fd, if how & 1 != 0 { " and written" } else { "" })
        });
    }

    pub(super) fn change(&mut self, desc: Desc) {
        match self.kind(desc) {
            Kind::Mounts => {
                let answer = fleeting::change_mounts(self.directory);
                self.say(|| format!("a mount changes: {answer:?}"));
            }
            Kind::Perf => {
                fleeting::fault([desc.fd, fleeting::twin(desc.fd)]);
                self.say(|| format!("{} samples a page fault", desc.fd));
            }
            _ => {}
        }
    }

    /// Lets a child act on its copy of the descriptor. After its reads all instances are looked at
    /// at once: a file that is emptied and filled again between two looks is a listed difference.
    pub(super) fn child(&mut self, desc: Desc, op: Op) {
        let (what, n) = (op.args[1], op.index(2).min(self.buffer.len()));
        let buffer = &mut self.buffer[..n];
        let leaves_no_trace = calls::in_child(|| match what {
            1 => kernel::read(desc.fd, buffer) > 0,
            2 => calls::shutdown(desc.fd, libc::SHUT_WR).is_ok(),
            3 => calls::close(desc.fd).is_err(),
            // A refused write wakes the readers of a pipe.
            _ => kernel::write(desc.fd, buffer) < 0,
        });
        let kind = self.kind(desc);
        if leaves_no_trace && what == 2 {
            self.note(desc.file, Fact::Foreign);
            self.files[desc.file].peer.into_iter().for_each(|peer| self.note(peer, Fact::Foreign));
        } else if leaves_no_trace && (what == 0 && kind.is_pipe() || what == 1 && kind != Kind::Tcp) {
            self.note_queue(desc.file, Fact::Foreign);
        }
        self.say(|| {
            let what = ["writes", "reads", "shuts down", "closes"][what.clamp(0, 3) as usize];
            format!("a child {what} {} ({n}) and exits", desc.fd)
        });
        if what == 1 {
            self.sweep();
        }
    }
}
