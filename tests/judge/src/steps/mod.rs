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
use crate::calls::{self, Outcome};
use crate::kinds::Kind;
use crate::op::{Op, Verb};
use crate::waits::Wait;
use crate::world::{Desc, World};

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
            Verb::StirCrowd => self.stir_crowd(op.index(0)),
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
        let (fd, b) = (desc.fd, op.args[1]);
        match op.verb {
            Verb::Close => self.close(desc, op),
            Verb::Reset => {
                let _ = calls::reset_on_close(fd);
                self.close(desc, op);
            }
            Verb::Dup => self.duplicate(desc, op),
            Verb::DupOver => self.duplicate_over(desc, op),
            Verb::OpenAgain => self.open_again(desc, op),
            Verb::Write | Verb::Fill => self.perform_write(desc, op),
            Verb::Read | Verb::Drain => self.perform_read(desc, op),
            Verb::Peek => self.peek(desc, op),
            Verb::Splice | Verb::Tee => self.splice_or_tee(desc, op),
            Verb::SendUrgent => self.send_urgent(desc),
            Verb::ReadUrgent => {
                let outcome = calls::read_urgent(fd);
                self.say(|| format!("recv({fd}, 1, MSG_OOB) = {}", said(outcome)));
            }
            Verb::Shutdown => self.shut_down(desc, b),
            Verb::ConnectAgain => self.connect_again(desc, op),
            Verb::ConnectByWrite => self.connect_by_write(desc, op),
            Verb::Disconnect => self.disconnect(desc),
            Verb::TakeErrors => self.take_errors(desc, b),
            Verb::TakeError => {
                self.note_error(desc);
                let outcome = calls::socket_error(fd);
                self.say(|| format!("getsockopt({fd}, SO_ERROR): {outcome:?}"));
            }
            Verb::SetOption => self.set_option(desc, op),
            Verb::SetTimer => self.set_timer(desc, b),
            Verb::Mask => self.mask(desc, b),
            Verb::ControlTerminal => self.control_terminal(desc, op),
            Verb::Signal => self.queue_signal(op),
            Verb::EndChild => self.end_child(desc),
            Verb::Touch => self.touch(desc, b),
            Verb::Change => self.change(desc),
            Verb::PipeSize => {
                let answer = calls::pipe_size(fd, b as c_int);
                self.say(|| format!("fcntl({fd}, F_SETPIPE_SZ, {b}) = {answer:?}"));
            }
            Verb::Child => self.child(desc, op),
            _ => {}
        }
    }
}
