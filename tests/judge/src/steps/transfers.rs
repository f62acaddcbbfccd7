//! Writes and reads.

use super::{COUNTED, said};
use crate::calls::{self, Outcome, READS, WRITES};
use crate::fleeting;
use crate::kernel;
use crate::kinds::Kind;
use crate::known::Fact;
use crate::op::{Op, Verb};
use crate::world::{Desc, World};

/// The most iterations of a loop of writes or reads in one step.
const LONGEST_LOOP: usize = 200;

impl World<'_> {
    /// Writes once, or until nothing more goes in.
    pub(super) fn perform_write(&mut self, desc: Desc, op: Op) {
        let ([_, size, how, ..], fd) = (op.args, desc.fd);
        let call = WRITES[how as usize % WRITES.len()];
        if op.verb == Verb::Write {
            let outcome = self.write(desc, op.index(1), how);
            return self.say(|| format!("{call}({fd}, {size}) = {}", said(outcome)));
        }
        let mut n = 0;
        while n < LONGEST_LOOP && self.write(desc, op.index(1), how).is_ok_and(|n| n > 0) {
            n += 1;
        }
        self.say(|| format!("{n} times {call}({fd}, {size})"));
    }

    /// Reads once, or until nothing more comes out.
    pub(super) fn perform_read(&mut self, desc: Desc, op: Op) {
        let ([_, size, how, ..], fd) = (op.args, desc.fd);
        let call = READS[how as usize % READS.len()];
        if op.verb == Verb::Read {
            let outcome = self.read(desc, op.index(1), how);
            return self.say(|| format!("{call}({fd}, {size}) = {}", said(outcome)));
        }
        let mut n = 0;
        while n < LONGEST_LOOP && self.read(desc, op.index(1), how).is_ok_and(|n| n > 0) {
            n += 1;
        }
        self.say(|| format!("{n} times {call}({fd}, {size})"));
    }

    pub(super) fn peek(&mut self, desc: Desc, op: Op) {
        let n = op.index(1).min(self.buffer.len());
        self.note_error(desc);
        if matches!(self.kind(desc), Kind::UnixDgram | Kind::Udp) {
            self.note(desc.file, Fact::Peeked);
        }
        let outcome = calls::peek(desc.fd, &mut self.buffer[..n]);
        self.say(|| format!("recv({}, {}, MSG_PEEK) = {}", desc.fd, op.args[1], said(outcome)));
    }

    pub(super) fn splice_or_tee(&mut self, desc: Desc, op: Op) {
        let Some(to) = self.desc(op.index(1)) else { return };
        let (fd, n) = (desc.fd, op.index(2).min(self.buffer.len()));
        self.note_error(to);
        let outcome = if op.verb == Verb::Splice { calls::splice(fd, to.fd, n) } else { calls::tee(fd, to.fd, n) };
        self.note_piece(desc, outcome);
        if op.verb == Verb::Splice && matches!(self.kind(to), Kind::Tcp | Kind::Udp) {
            self.note_splice(to, outcome);
        }
        self.say(|| format!("{}({fd}, {}, {n}) = {}", op.verb.word(), to.fd, said(outcome)));
    }

    fn write(&mut self, desc: Desc, size: usize, how: i64) -> Outcome {
        let kind = self.kind(desc);
        let tools = self.tools;
        if matches!(kind, Kind::Eventfd | Kind::Semaphore) {
            // The size is the number to add; almost the greatest one fills the counter.
            let add = if size > 60_000 { u64::MAX - 1 } else { size as u64 };
            return tools.write(desc.fd, &mut add.to_ne_bytes(), how);
        }
        match kind {
            Kind::MessageQueue => return calls::send_message(desc.fd, &self.buffer[..size.min(calls::MESSAGE_BYTES)]),
            Kind::Netlink => return calls::ask_netlink(desc.fd),
            _ => {}
        }
        self.note_error(desc);
        let n = size.min(65536);
        let may_fill = kind == Kind::Tcp && calls::may_fill(desc.fd, n);
        let outcome = tools.write(desc.fd, &mut self.buffer[..n], how);
        if how == 8 {
            // On a read end vmsplice reads.
            self.note_piece(desc, outcome);
        }
        if matches!(kind, Kind::Tcp | Kind::Udp) && matches!(how, 6 | 7) || self.files[desc.file].held_back {
            self.note_splice(desc, outcome);
        }
        match kind {
            Kind::UnixDgram | Kind::Udp if outcome.is_ok() => self.sent_datagrams(desc, n, how),
            Kind::Tcp
                if outcome.map_or_else(
                    |errno| errno == libc::EAGAIN,
                    |sent| sent != if how == 5 { 2 * n as i64 } else { n as i64 },
                ) =>
            {
                self.refuse_room(desc.file);
            }
            Kind::Mptcp => {
                let is_refused = outcome != Ok(n as i64);
                self.note_news(if is_refused { Some(desc.file) } else { None });
                self.note_news(self.files[desc.file].peer.filter(|_| outcome.is_ok_and(|sent| sent > 0)));
            }
            // The written bytes are acknowledged at the end of the call.
            Kind::Tcp if may_fill && calls::has_other_threads() => self.miss_room(desc.file),
            _ => {}
        }
        if kind == Kind::Tcp {
            self.look_for_room(false);
        }
        // A datagram that fails wakes twice, when its buffer is freed and by its error: two
        // threads, in either order.
        self.one_arrival &= !(kind == Kind::UnixDgram && outcome.is_err());
        outcome
    }

    fn read(&mut self, desc: Desc, size: usize, how: i64) -> Outcome {
        let kind = self.kind(desc);
        if kind == Kind::MessageQueue {
            return calls::receive_message(desc.fd);
        }
        let n = match kind {
            Kind::Eventfd | Kind::Semaphore | Kind::Timerfd => 8,
            Kind::Signalfd => 128 * size.clamp(1, 3),
            _ => size.min(self.buffer.len()),
        };
        if kind == Kind::Signalfd && how == 1 {
            self.note(desc.file, Fact::Scattered);
        }
        let datagrams = matches!(kind, Kind::Udp | Kind::UnixDgram);
        if datagrams && self.files[desc.file].datagrams > COUNTED {
            self.note(desc.file, Fact::Uncounted);
        }
        self.note_error(desc);
        if kind.is_fleeting() {
            kernel::read(fleeting::twin(desc.fd), &mut self.buffer[..n]);
        }
        let tools = self.tools;
        let outcome = tools.read(desc.fd, &mut self.buffer[..n], how);
        if matches!(how, 7 | 8) {
            self.note_piece(desc, outcome);
        }
        if datagrams && outcome == Err(libc::EAGAIN) {
            self.files[desc.file].datagrams = 0;
        }
        if self.files[desc.file].periodic && kind == Kind::Timerfd {
            self.await_expiration(desc);
        }
        if kind == Kind::Tcp {
            // The peer continues to send, in other pieces, which take more memory.
            self.look_for_room(false);
        }
        outcome
    }
}
