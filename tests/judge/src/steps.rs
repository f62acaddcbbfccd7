//! The actions of the steps of a history.

use std::time::{Duration, Instant};

use libc::{c_int, epoll_event};

use crate::calls::{self, Outcome, READS, WRITES};
use crate::fleeting;
use crate::kernel;
use crate::kinds::Kind;
use crate::known::Fact;
use crate::op::{Op, Verb};
use crate::waits::{Wait, bits};
use crate::world::{
    DESCS, Desc, File, NONSENSE, PAIR_TARGETS, Pair, Registration, Room, SIGNALS, Side, World, signals_of,
};

/// The number of datagrams that the library counts.
pub const COUNTED: u32 = 512;
/// The most iterations of a loop of writes or reads in one step.
const LONGEST_LOOP: usize = 200;

fn said(outcome: Outcome) -> String {
    match outcome {
        Ok(n) => n.to_string(),
        Err(errno) => format!("errno {errno}"),
    }
}

/// The names of `calls::control_terminal`, by how.
const TERMINAL_CALLS: [&str; 5] = ["tcflush", "tcsetattr", "tcsetattr TCSAFLUSH", "tcflow off", "tcflow on"];

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

    fn close(&mut self, desc: Desc, op: Op) {
        self.close_twin(desc);
        let answer = match op.args[1] {
            1 => calls::close_range(desc.fd),
            2 => calls::close_by_syscall(desc.fd),
            3 => calls::close_stream(desc.fd),
            _ => calls::close(desc.fd),
        };
        if answer.is_err() {
            // This descriptor cannot be closed in that way. Its number would also be open if a
            // thread of the library had it for a moment.
            let _ = calls::close(desc.fd);
        }
        self.descs[op.index(0)] = None;
        self.exclusive_changed(Some(desc.file));
        self.release(desc.file);
        self.say(|| {
            format!(
                "{}({}) = {answer:?}",
                ["close", "close_range", "syscall close", "fclose"][op.index(1).min(3)],
                desc.fd
            )
        });
    }

    fn duplicate(&mut self, desc: Desc, op: Op) {
        let name = op.index(1);
        if name >= DESCS || self.descs[name].is_some() {
            return;
        }
        let answer = match op.args[2] {
            1 => calls::dup_from(desc.fd),
            2 => calls::dup_from_cloexec(desc.fd),
            _ => calls::dup(desc.fd),
        };
        if let Ok(new) = answer {
            if self.kind(desc).is_fleeting() && fleeting::duplicate_twin(desc.fd, new).is_err() {
                let _ = calls::close(new);
                return;
            }
            self.adopt_twin(name, new, desc.file);
        }
        self.say(|| format!("dup({}) = {answer:?}", desc.fd));
    }

    fn duplicate_over(&mut self, desc: Desc, op: Op) {
        let name = op.index(1);
        let Some(over) = self.desc(name) else { return };
        if over.fd == desc.fd {
            return;
        }
        self.close_twin(over);
        if self.kind(desc).is_fleeting() && fleeting::duplicate_twin(desc.fd, over.fd).is_err() {
            return;
        }
        let answer = if op.args[2] == 1 { calls::dup3(desc.fd, over.fd) } else { calls::dup2(desc.fd, over.fd) };
        if answer.is_ok() {
            self.exclusive_changed(Some(over.file));
            self.adopt_twin(name, over.fd, desc.file);
            self.release(over.file);
        }
        self.say(|| format!("dup2({}, {}) = {answer:?}", desc.fd, over.fd));
    }

    /// Notes that the exclusive registrations of a description, or of any, have changed since the
    /// last sweep.
    fn exclusive_changed(&mut self, file: Option<usize>) {
        let registrations = &self.registrations;
        let affected: Vec<usize> = registrations
            .iter()
            .filter(|one| one.is_exclusive() && file.is_none_or(|file| one.file == file))
            .map(|one| one.file)
            .collect();
        for file in affected {
            self.exclusive_entry(file).changed = true;
        }
    }

    /// Several exclusive registrations of a description compete.
    fn note_contest(&mut self, file: usize) {
        if self.exclusive_on(file) > 1 {
            let all = self.registrations.iter_mut();
            all.filter(|one| one.alive && one.is_exclusive() && one.file == file).for_each(|one| one.contested = true);
        }
    }

    /// The target's number on either side, and its description.
    fn target(&self, target: i64) -> Option<(c_int, c_int, Option<usize>)> {
        match target {
            NONSENSE.. => {
                let number = [-1, 600, c_int::MAX][(target - NONSENSE).rem_euclid(3) as usize];
                Some((number, number, None))
            }
            PAIR_TARGETS.. => {
                let pair = self.pair((target - PAIR_TARGETS) as usize)?;
                Some((pair.kernel, pair.ours, Some(pair.file)))
            }
            _ => {
                let desc = self.desc(usize::try_from(target).ok()?)?;
                Some((self.kernel_number(desc), desc.fd, Some(desc.file)))
            }
        }
    }

    fn control(&mut self, op: Op) {
        let (mut name, operation, mask, data) = (op.index(0), op.args[1] as c_int, op.args[3] as u32, op.args[4]);
        let pair = match self.pair(name) {
            Some(pair) => pair,
            // A control call on a descriptor that is not an instance.
            None if name >= PAIR_TARGETS as usize => {
                let plain = self.desc(name - PAIR_TARGETS as usize).map_or(-1, |desc| desc.fd);
                name = usize::MAX;
                Pair { kernel: plain, ours: plain, file: 0 }
            }
            None => return,
        };
        let Some((kernel_fd, our_fd, file)) = self.target(op.args[2]) else { return };
        let mut event = epoll_event { events: mask, u64: data.cast_unsigned() };
        let mut same = event;
        let (theirs, ours) = if data == 0 { (None, None) } else { (Some(&mut event), Some(&mut same)) };
        let (kernel, our) = match self.side {
            Side::Both => (
                kernel::epoll_ctl(pair.kernel, operation, kernel_fd, theirs),
                calls::epoll_ctl(pair.ours, operation, our_fd, ours),
            ),
            Side::Kernel => {
                let answer = kernel::epoll_ctl(pair.kernel, operation, kernel_fd, theirs);
                (answer, answer)
            }
            Side::Ours => {
                let answer = calls::epoll_ctl(pair.ours, operation, our_fd, ours);
                (answer, answer)
            }
        };
        self.say(|| {
            let word = match operation {
                libc::EPOLL_CTL_ADD => "ADD",
                libc::EPOLL_CTL_MOD => "MOD",
                libc::EPOLL_CTL_DEL => "DEL",
                _ => "(no such operation)",
            };
            format!("epoll_ctl(instance {name}, {word}, {our_fd}, {}): kernel {kernel:?}, ours {our:?}", bits(mask))
        });
        if kernel != our {
            let kind = file.map_or(Kind::Refused, |file| self.files[file].kind);
            self.differing_answer(&format!("epoll_ctl {operation} of {our_fd}, {}", bits(mask)), kind, kernel, our);
            // Both sides return to the state before the call.
            if operation == libc::EPOLL_CTL_ADD {
                let _ = kernel.map(|_| kernel::epoll_ctl(pair.kernel, libc::EPOLL_CTL_DEL, kernel_fd, None));
                let _ = our.map(|_| calls::epoll_ctl(pair.ours, libc::EPOLL_CTL_DEL, our_fd, None));
            }
            return;
        }
        let (Ok(_), Some(file)) = (kernel, file) else { return };
        let find = |one: &Registration| one.alive && one.pair == name && one.number == our_fd && one.file == file;
        let at = self.registrations.iter().position(find);
        match (operation, at) {
            (libc::EPOLL_CTL_ADD, _) => {
                let step = self.step;
                self.registrations.push(Registration {
                    pair: name,
                    number: our_fd,
                    file,
                    events: mask,
                    data: data.cast_unsigned(),
                    alive: true,
                    reported: step,
                    owed: 0,
                    reported_last: [false; 2],
                    crossed: false,
                    shown: 0,
                    room: Room::There,
                    refused: 0,
                    received: (0, 0),
                    tainted: false,
                    differed: false,
                    contested: false,
                });
                if mask & libc::EPOLLEXCLUSIVE as u32 != 0 {
                    self.exclusive_changed(Some(file));
                    self.note_contest(file);
                }
                self.take_down_received(self.registrations.len() - 1);
                self.looked_for_room(self.registrations.len() - 1);
            }
            (libc::EPOLL_CTL_MOD, Some(at)) => {
                let registration = &mut self.registrations[at];
                registration.events = mask;
                registration.shown = 0;
                registration.data = data.cast_unsigned();
                registration.tainted = false;
                registration.differed = false;
                let pair = registration.pair;
                self.take_down_received(at);
                self.looked_for_room(at);
                let has_others = self.registrations.iter().filter(|one| one.alive && one.pair == pair).count() > 1;
                if let Some(pair) = self.pair(pair).filter(|_| has_others) {
                    self.note(pair.file, Fact::Modified);
                }
            }
            (_, Some(at)) => {
                if self.registrations[at].is_exclusive() {
                    self.exclusive_changed(Some(file));
                }
                self.registrations[at].alive = false;
            }
            (_, None) => {}
        }
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

    /// Notes an arrival at an MPTCP connection.
    fn note_news(&mut self, file: Option<usize>) {
        file.into_iter().for_each(|file| self.note(file, Fact::Arrived));
    }

    /// Counts sent datagrams. Calls that move pages can turn one into several, and the count of
    /// unread ones must not be too low.
    fn sent_datagrams(&mut self, desc: Desc, n: usize, how: i64) {
        let step = self.step;
        if let Some(peer) = self.files[desc.file].peer {
            let peer = &mut self.files[peer];
            peer.facts[Fact::Arrived as usize] = step;
            peer.got_empty |= n == 0;
            peer.datagrams += match how {
                5 => 2,
                6 | 7 => 1 + (n / 4096) as u32,
                _ => 1,
            };
            if peer.datagrams > COUNTED {
                peer.facts[Fact::Uncounted as usize] = step;
            }
        }
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

    /// Notes a splice into a socket, or a write after one. A UDP socket may hold it back for more
    /// data (MSG_MORE) until the next datagram is sent, or fails.
    fn note_splice(&mut self, desc: Desc, outcome: Outcome) {
        let before = std::mem::replace(&mut self.files[desc.file].held_back, false);
        self.note(desc.file, Fact::Spliced);
        self.files[desc.file].held_back = self.kind(desc) == Kind::Udp && !before && outcome.is_ok();
    }

    /// Notes an error that is pending on a datagram socket, or a hang-up: these are beside the
    /// count of unread datagrams.
    fn note_error(&mut self, desc: Desc) {
        if matches!(self.kind(desc), Kind::Udp | Kind::UnixDgram) && kernel::level(desc.fd, 0) != 0 {
            self.note(desc.file, Fact::ErrorPending);
        }
    }

    /// Notes a transfer out of a pipe without a copy. The remaining bytes may be the rest of an
    /// earlier buffer.
    fn note_piece(&mut self, desc: Desc, outcome: Outcome) {
        let took = outcome.is_ok_and(|n| n > 0);
        if took && self.kind(desc).is_pipe() && kernel::level(desc.fd, libc::POLLIN) & libc::POLLIN != 0 {
            self.note_queue(desc.file, Fact::Piece);
        }
    }

    fn connect_again(&mut self, desc: Desc, op: Op) {
        if !self.kind(desc).is_socket() {
            return;
        }
        let found = self.desc(op.index(1)).and_then(|listener| self.files[listener.file].address);
        let nobody = match self.kind(desc) {
            Kind::Tcp | Kind::Mptcp | Kind::TcpListener | Kind::Udp => calls::Address::Internet(0x7f00_0001, 9),
            _ => calls::Address::Unix(0),
        };
        let answer = calls::connect(desc.fd, found.unwrap_or(nobody));
        self.say(|| format!("connect({}, {:?}) = {answer:?}", desc.fd, found.unwrap_or(nobody)));
    }

    fn connect_by_write(&mut self, desc: Desc, op: Op) {
        if self.kind(desc) != Kind::Tcp {
            return;
        }
        let found = self.desc(op.index(1)).and_then(|listener| self.files[listener.file].address);
        let to = match found {
            Some(to @ calls::Address::Internet(..)) => to,
            _ => calls::Address::Internet(0x7f00_0001, 9),
        };
        let outcome = calls::connect_by_write(desc.fd, to, op.args[2]);
        self.say(|| format!("sendto({}, 1, MSG_FASTOPEN, {to:?}) = {}", desc.fd, said(outcome)));
    }

    fn take_errors(&mut self, desc: Desc, most: i64) {
        if !matches!(self.kind(desc), Kind::Udp | Kind::Tcp) {
            return;
        }
        self.note_error(desc);
        let taken = (0..most).take_while(|_| calls::take_error(desc.fd).is_ok()).count();
        self.say(|| format!("{taken} times recvmsg({}, MSG_ERRQUEUE)", desc.fd));
    }

    fn set_option(&mut self, desc: Desc, op: Op) {
        const STAMPS: i64 = 2 | 16 | 2048;
        let Some(&(name, level, option)) = calls::OPTIONS.get(op.index(1)) else { return };
        if !self.kind(desc).is_socket() {
            return;
        }
        self.note_error(desc);
        let value = if option == libc::SO_TIMESTAMPING { op.args[2] * STAMPS } else { op.args[2] };
        if option == libc::SO_RCVLOWAT {
            self.files[desc.file].low_water = true;
        }
        let answer = calls::set_option(desc.fd, level, option, value as c_int);
        self.say(|| format!("setsockopt({}, {name}, {value}) = {answer:?}", desc.fd));
    }

    fn open_again(&mut self, desc: Desc, op: Op) {
        let name = op.index(1);
        let File { kind: Kind::Fifo, path: Some(path), .. } = &self.files[desc.file] else { return };
        if name >= DESCS || self.descs[name].is_some() {
            return;
        }
        let mode = [libc::O_WRONLY, libc::O_RDONLY, libc::O_RDWR][op.index(2) % 3];
        let path = path.clone();
        let answer = calls::open(&path, mode);
        if let Ok(fd) = answer {
            let file = self.adopt(name, fd, Kind::Fifo);
            self.files[file].path = Some(path);
        }
        self.say(|| format!("open the FIFO of {} again, mode {}: {answer:?}", desc.fd, op.args[2]));
    }

    fn change(&mut self, desc: Desc) {
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

    fn set_timer(&mut self, desc: Desc, how: i64) {
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
    fn await_expiration(&mut self, desc: Desc) {
        let begun = Instant::now();
        while kernel::level(desc.fd, libc::POLLIN) == 0 && begun.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
    }

    fn touch(&mut self, desc: Desc, how: i64) {
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

    /// Lets a child act on its copy of the descriptor. After its reads all instances are looked at
    /// at once: a file that is emptied and filled again between two looks is a listed difference.
    fn child(&mut self, desc: Desc, op: Op) {
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

    /// Adds silent eventfds, every second one edge-triggered.
    fn gather_crowd(&mut self, name: usize, count: usize) {
        let Some(pair) = self.pair(name) else { return };
        for _ in 0..count.min(400 - self.crowd.len().min(400)) {
            let Ok(fd) = calls::eventfd(0, 0) else { return };
            let index = self.crowd.len();
            let data = 1 << 40 | index as u64;
            let events =
                if index.is_multiple_of(2) { libc::EPOLLIN } else { libc::EPOLLIN | libc::EPOLLET }.cast_unsigned();
            let mut event = epoll_event { events, u64: data };
            let mut same = event;
            let _ = kernel::epoll_ctl(pair.kernel, libc::EPOLL_CTL_ADD, fd, Some(&mut event));
            let _ = calls::epoll_ctl(pair.ours, libc::EPOLL_CTL_ADD, fd, Some(&mut same));
            let file = self.new_file(Kind::Eventfd);
            self.crowd.push(Desc { fd, file });
            let step = self.step;
            self.registrations.push(Registration {
                pair: name,
                number: fd,
                file,
                events,
                data,
                alive: true,
                reported: step,
                owed: 0,
                reported_last: [false; 2],
                crossed: false,
                shown: 0,
                room: Room::There,
                refused: 0,
                received: (0, 0),
                tainted: false,
                differed: false,
                contested: false,
            });
        }
        self.say(|| format!("{count} eventfds join instance {name}"));
    }
}
