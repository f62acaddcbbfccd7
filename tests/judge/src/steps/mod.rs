//! The actions of the steps of a history.

mod causes;
mod control;
mod descriptors;
mod facts;
mod sockets;
mod transfers;

use std::time::Duration;

use libc::c_int;

pub use self::facts::COUNTED;
use crate::calls::{self, Outcome, READS, WRITES};
use crate::kinds::Kind;
use crate::known::Fact;
use crate::op::{Op, Verb};
use crate::waits::Wait;
use crate::world::{Desc, SIGNALS, World, signals_of};

/// The most iterations of a loop of writes or reads in one step.
const LONGEST_LOOP: usize = 200;

/// The names of `calls::control_terminal`, by how.
const TERMINAL_CALLS: [&str; 5] = ["tcflush", "tcsetattr", "tcsetattr TCSAFLUSH", "tcflow off", "tcflow on"];

fn said(outcome: Outcome) -> String {
    match outcome {
        Ok(n) => n.to_string(),
        Err(errno) => format!("errno {errno}"),
    }
}

impl World<'_> {
    /// Makes one step. A step that names something that does not exist is left out.
    pub fn perform(&mut self, op: Op) {
        self.step += 1;
        let waits = matches!(
            op.verb,
            Verb::Wait | Verb::BadWait | Verb::Rotate | Verb::Sweep | Verb::Poll | Verb::EndInstance | Verb::Child
        );
        let signals =
            op.verb == Verb::Control && self.desc(op.index(2)).is_some_and(|desc| self.kind(desc) == Kind::Signalfd);
        if signals || waits && (self.is_slept_on(op.index(0)) || matches!(op.verb, Verb::Sweep | Verb::Child)) {
            self.call_back();
        }
        self.one_arrival = match op.verb {
            Verb::Write => op.args[1] <= 1000 && !matches!(op.args[2], 5 | 6 | 7 | 12),
            Verb::Control | Verb::StirCrowd | Verb::Signal | Verb::Change => true,
            Verb::SetTimer => op.args[1] != 3,
            _ => false,
        };
        let delivery = self.delivery(op);
        self.perform_one(op);
        self.look_for_room(false);
        if let Some(delivery) = delivery {
            self.await_delivery(delivery);
        }
        self.in_passing = self.crew.is_some()
            && match op.verb {
                Verb::Fill | Verb::Drain => true,
                Verb::Write | Verb::Read => matches!(op.args[2], 5..=7 | 12),
                // It is opened, and then written.
                Verb::Touch => op.args[1] & 1 != 0,
                _ => false,
            };
        self.judge_crew();
        self.in_passing = false;
    }

    fn perform_one(&mut self, op: Op) {
        let [a, b, c, ..] = op.args;
        match op.verb {
            Verb::Instance => {
                let opened = self.open_pair(op.index(0), if b == 0 { 0 } else { libc::EPOLL_CLOEXEC });
                self.say(|| format!("instance {a}: {opened:?}"));
            }
            Verb::EndInstance => {
                if self.pair(op.index(0)).is_some() {
                    self.end_pair(op.index(0));
                    self.exclusive_changed(None);
                    self.say(|| format!("instance {a} is closed"));
                }
            }
            Verb::Open => {
                if let Some(kind) = Kind::from_number(c) {
                    let opened = self.open(op.index(0), op.index(1), kind, op.args[3]);
                    self.say(|| format!("open {} (variant {}): {opened:?}", kind.word(), op.args[3]));
                }
            }
            Verb::Connect => {
                if let Some(listener) = self.desc(op.index(0)) {
                    let connected = self.connect(listener, op.index(1));
                    self.say(|| format!("connect to {}: {connected:?}", listener.fd));
                }
            }
            Verb::Accept => {
                if let Some(listener) = self.desc(op.index(0)) {
                    let accepted = self.accept(listener, op.index(1));
                    self.say(|| format!("accept({}): {accepted:?}", listener.fd));
                }
            }
            Verb::Control => self.control(op),
            Verb::Wait => {
                let wait =
                    Wait { max: op.index(1).max(1), ns: op.args[2], call: op.args[3], ours_first: op.args[4] != 0 };
                self.judge_wait(op.index(0), wait);
            }
            Verb::BadWait => self.bad_wait(op.index(0), b),
            Verb::Rotate => self.rotate(op.index(0)),
            Verb::Sweep => self.sweep(),
            Verb::Poll => self.judge_poll(op.index(0), b as i16),
            Verb::Crowd => self.gather_crowd(op.index(0), op.index(1)),
            Verb::StirCrowd => {
                if let Some(desc) = self.crowd.get(op.index(0)).copied() {
                    let tools = self.tools;
                    let answer = tools.write(desc.fd, &mut 1u64.to_ne_bytes(), 0);
                    self.say(|| format!("write({}, 1) = {}", desc.fd, said(answer)));
                }
            }
            Verb::Sleepers => self.put_to_sleep(op.index(0), op.index(1), op.index(2)),
            Verb::Settle => self.call_back(),
            Verb::Anew => self.begin_anew(),
            Verb::Pause => {
                std::thread::sleep(Duration::from_micros(a.clamp(0, 100_000).unsigned_abs()));
                self.say(|| format!("nothing for {a} us"));
            }
            _ => {
                if let Some(desc) = self.desc(op.index(0)) {
                    self.perform_on(desc, op);
                }
            }
        }
    }

    /// Makes a step on a descriptor.
    fn perform_on(&mut self, desc: Desc, op: Op) {
        let fd = desc.fd;
        let [_, b, c, ..] = op.args;
        match op.verb {
            Verb::Close => self.close(desc, op),
            Verb::Reset => {
                let _ = calls::reset_on_close(fd);
                self.close(desc, op);
            }
            Verb::Dup => self.duplicate(desc, op),
            Verb::DupOver => self.duplicate_over(desc, op),
            Verb::Write => {
                let outcome = self.write(desc, op.index(1), c);
                self.say(|| format!("{}({fd}, {b}) = {}", WRITES[c as usize % WRITES.len()], said(outcome)));
            }
            Verb::Fill => {
                let mut n = 0;
                while n < LONGEST_LOOP && self.write(desc, op.index(1), c).is_ok_and(|n| n > 0) {
                    n += 1;
                }
                self.say(|| format!("{n} times {}({fd}, {b})", WRITES[c as usize % WRITES.len()]));
            }
            Verb::Read => {
                let outcome = self.read(desc, op.index(1), c);
                self.say(|| format!("{}({fd}, {b}) = {}", READS[c as usize % READS.len()], said(outcome)));
            }
            Verb::Drain => {
                let mut n = 0;
                while n < LONGEST_LOOP && self.read(desc, op.index(1), c).is_ok_and(|n| n > 0) {
                    n += 1;
                }
                self.say(|| format!("{n} times {}({fd}, {b})", READS[c as usize % READS.len()]));
            }
            Verb::Peek => {
                let n = op.index(1).min(self.buffer.len());
                self.note_error(desc);
                if matches!(self.kind(desc), Kind::UnixDgram | Kind::Udp) {
                    self.note(desc.file, Fact::Peeked);
                }
                let outcome = calls::peek(fd, &mut self.buffer[..n]);
                self.say(|| format!("recv({fd}, {b}, MSG_PEEK) = {}", said(outcome)));
            }
            Verb::Splice | Verb::Tee => {
                let Some(to) = self.desc(op.index(1)) else { return };
                let n = op.index(2).min(self.buffer.len());
                self.note_error(to);
                let outcome =
                    if op.verb == Verb::Splice { calls::splice(fd, to.fd, n) } else { calls::tee(fd, to.fd, n) };
                self.note_piece(desc, outcome);
                if op.verb == Verb::Splice && matches!(self.kind(to), Kind::Tcp | Kind::Udp) {
                    self.note_splice(to, outcome);
                }
                self.say(|| format!("{}({fd}, {}, {n}) = {}", op.verb.word(), to.fd, said(outcome)));
            }
            Verb::SendUrgent => {
                let outcome = calls::send_urgent(fd);
                if let Some(peer) = self.files[desc.file].peer {
                    self.files[peer].got_urgent |= outcome.is_ok();
                }
                self.say(|| format!("send({fd}, 1, MSG_OOB) = {}", said(outcome)));
            }
            Verb::ReadUrgent => {
                let outcome = calls::read_urgent(fd);
                self.say(|| format!("recv({fd}, 1, MSG_OOB) = {}", said(outcome)));
            }
            Verb::Shutdown => {
                let answer = calls::shutdown(fd, (b as c_int).rem_euclid(3));
                self.files[desc.file].closing |= answer.is_ok() && b.rem_euclid(3) > 0;
                self.files[desc.file].shut_for_reading |= answer.is_ok() && b.rem_euclid(3) != 1;
                self.say(|| format!("shutdown({fd}, {}) = {answer:?}", b.rem_euclid(3)));
            }
            Verb::ConnectAgain => self.connect_again(desc, op),
            Verb::ConnectByWrite => self.connect_by_write(desc, op),
            Verb::Disconnect => {
                if matches!(self.kind(desc), Kind::Tcp | Kind::Udp) {
                    let answer = calls::disconnect(fd);
                    self.say(|| format!("connect({fd}, no address) = {answer:?}"));
                }
            }
            Verb::TakeErrors => self.take_errors(desc, b),
            Verb::SetOption => self.set_option(desc, op),
            Verb::OpenAgain => self.open_again(desc, op),
            Verb::SetTimer => self.set_timer(desc, b),
            Verb::Mask if self.kind(desc) == Kind::Signalfd => {
                let answer = calls::signalfd(fd, &signals_of(b));
                self.say(|| format!("signalfd({fd}, {:?}) = {answer:?}", signals_of(b)));
            }
            Verb::ControlTerminal if self.kind(desc) == Kind::Pty => {
                let answer = calls::control_terminal(fd, b);
                self.say(|| format!("{}({fd}) = {answer:?}", TERMINAL_CALLS[op.index(1) % TERMINAL_CALLS.len()]));
            }
            Verb::Mask | Verb::ControlTerminal => {}
            Verb::Signal => {
                let signal = SIGNALS[op.index(1) % SIGNALS.len()];
                let answer = calls::queue_signal(signal);
                self.say(|| format!("kill(self, {signal}) = {answer:?}"));
            }
            Verb::EndChild => {
                if let Some(pid) = self.files[desc.file].child.take() {
                    calls::kill_child(pid, || self.crew_rests());
                    self.say(|| format!("the child behind {fd} ends"));
                }
            }
            Verb::Touch => self.touch(desc, b),
            Verb::Change => self.change(desc),
            Verb::TakeError => {
                self.note_error(desc);
                let outcome = calls::socket_error(fd);
                self.say(|| format!("getsockopt({fd}, SO_ERROR): {outcome:?}"));
            }
            Verb::PipeSize => {
                let answer = calls::pipe_size(fd, b as c_int);
                self.say(|| format!("fcntl({fd}, F_SETPIPE_SZ, {b}) = {answer:?}"));
            }
            Verb::Child => self.child(desc, op),
            _ => {}
        }
    }
}
