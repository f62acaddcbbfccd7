//! A process, and how each of its facts changes the history.

use super::descriptor::{Descriptor, Reported};
use super::item::{Chain, Item, Moment, UNFINISHED, What};
use super::{History, MOST_CHAOS, Perturbed};
use epolyfill_facts::{Call, Class, Event, Fact, NO_FD, Op, Poller, Stamp, Start};
use hashbrown::HashMap;

/// A wait that took longer than this slept.
const SLEPT_NS: u64 = 50_000;
/// Own code of a thread that is shorter than this is not an item.
const OWN_NS: u64 = 5_000;
const IN: u32 = (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLPRI | libc::EPOLLERR) as u32;

/// A process.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    pub ppid: i32,
    pub is_fork: bool,
    /// The name of its program, if it was looked up.
    pub name: String,
    pub poller: Option<Poller>,
    pub ended_ns: Option<u64>,
    pub status: Option<i32>,
    /// Descriptors that are open.
    pub descriptors: HashMap<i32, Descriptor>,
    pub waits: u64,
    pub events: u64,
    pub accepted: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Events whose data identifies no registration.
    pub unattributed: u64,
    by_data: HashMap<(i32, u64), i32>,
    /// By instance: the end of the last wait that had room for more events.
    roomy: HashMap<i32, u64>,
}

impl Process {
    pub fn new(pid: i32) -> Process {
        Process {
            pid,
            ppid: 0,
            is_fork: false,
            name: String::new(),
            poller: None,
            ended_ns: None,
            status: None,
            descriptors: HashMap::new(),
            waits: 0,
            events: 0,
            accepted: 0,
            bytes_in: 0,
            bytes_out: 0,
            unattributed: 0,
            by_data: HashMap::new(),
            roomy: HashMap::new(),
        }
    }

    fn descriptor(&mut self, fd: i32, now_ns: u64) -> &mut Descriptor {
        let pid = self.pid;
        self.descriptors.entry(fd).or_insert_with(|| Descriptor::new(pid, fd, now_ns))
    }

    /// Forgets the data that a descriptor is registered with.
    fn forget_data(&mut self, fd: i32) {
        if let Some(key) = self.descriptors.get(&fd).map(|descriptor| (descriptor.epfd, descriptor.data))
            && self.by_data.get(&key) == Some(&fd)
        {
            self.by_data.remove(&key);
        }
    }
}

/// Changes the history by a fact of a process and a thread, which are given by their indices.
pub(super) fn take(history: &mut History, process: usize, thread: usize, stamp: Stamp, fact: &Fact<'_>) {
    let of = Of { process, thread, pid: history.processes[process].pid, stamp };
    let now = stamp.ns;
    history.threads[thread].last_ns = now.max(history.threads[thread].last_ns);
    match *fact {
        Fact::Start(start) => of.start(history, start),
        Fact::Create { fd, began_ns, .. } => {
            of.call(history, began_ns, What::Create { fd });
            if fd >= 0 {
                of.close(history, fd);
                history.processes[process].descriptor(fd, now).is_instance = true;
            }
        }
        Fact::Control { .. } => of.control(history, fact),
        Fact::Wait { epfd, timeout_ns, .. } => {
            of.own_code(history, now);
            let thread = &mut history.threads[thread];
            thread.end_ns = thread.end_ns.max(now);
            thread.begin_wait(now, epfd, timeout_ns);
        }
        Fact::Report { .. } => of.report(history, fact),
        Fact::Call { .. } => of.transfer(history, fact),
        Fact::Close { fd } => {
            of.call(history, now, What::Close { fd });
            of.close(history, fd);
        }
        Fact::Dup { from, to } if from != to => {
            of.close(history, to);
            let process = &mut history.processes[process];
            if let Some(copy) = process.descriptors.get(&from).map(|from| from.copy(of.pid, to, now)) {
                process.descriptors.insert(to, copy);
            }
        }
        Fact::Dup { .. } | Fact::TlsRead { .. } => {}
        Fact::Fork { child } => {
            of.call(history, now, What::Fork { child });
        }
        Fact::Exec => {
            of.call(history, now, What::Exec);
        }
        Fact::Exit { status } => {
            of.call(history, now, What::Exit { status });
            let process = &mut history.processes[process];
            (process.ended_ns, process.status) = (Some(now), Some(status));
        }
        Fact::Look { fd, unread, is_after, .. } => {
            if let Some(descriptor) = history.processes[process].descriptors.get_mut(&fd) {
                descriptor.unread = Some(unread).filter(|unread| *unread > 0);
            }
            let what = What::Look { fd, unread, is_after };
            history.emit(Item { pid: of.pid, tid: stamp.tid, begin_ns: now, end_ns: now, what });
        }
        Fact::Chaos { .. } => of.chaos(history, fact),
    }
}

/// Ends what is under way in a process.
pub(super) fn end(history: &mut History, process: usize, end_ns: u64) {
    let pid = history.processes[process].pid;
    for at in 0..history.threads.len() {
        let thread = &mut history.threads[at];
        if thread.pid != pid {
            continue;
        }
        let Some((begin_ns, epfd, timeout_ns)) = thread.waits_since.take() else { continue };
        thread.last_ns = thread.last_ns.max(end_ns);
        let (begin_ns, tid) = (begin_ns.max(thread.end_ns), thread.tid);
        if let Some(scale) = history.scale {
            thread.sleep(&scale, begin_ns, end_ns);
        }
        let what = What::Wait { epfd, timeout_ns, events: 0, errno: UNFINISHED };
        history.emit(Item { pid, tid, begin_ns, end_ns: end_ns.max(begin_ns), what });
    }
    let mut ends = Vec::new();
    for descriptor in history.processes[process].descriptors.values_mut() {
        if let Some(since) = descriptor.unread_since_ns {
            ends.push((descriptor.fd, since.min(end_ns), descriptor.chain.map_or(0, |chain| chain.report.tid)));
        }
    }
    for (fd, begin_ns, tid) in ends {
        history.emit(Item { pid, tid, begin_ns, end_ns, what: What::Unread { fd } });
    }
    let chains: Vec<Chain> =
        history.processes[process].descriptors.values_mut().filter_map(|descriptor| descriptor.chain.take()).collect();
    chains.into_iter().for_each(|chain| history.end_chain(pid, chain));
}

/// The place of a fact.
struct Of {
    process: usize,
    thread: usize,
    pid: i32,
    stamp: Stamp,
}

impl Of {
    fn start(&self, history: &mut History, start: Start) {
        let now = self.stamp.ns;
        if history.wall_offset_ns == 0 {
            history.wall_offset_ns = start.wall_offset_ns;
        }
        // After exec the process has the same id, and its threads are gone.
        let before = std::mem::take(&mut history.processes[self.process].descriptors);
        if start.is_fork {
            let parent = history.process_index.get(&start.ppid).map(|at| &history.processes[*at].descriptors);
            let copies = parent.into_iter().flatten().map(|(fd, of)| (*fd, of.copy(self.pid, *fd, now))).collect();
            let by_data = history.process_index.get(&start.ppid).map(|at| history.processes[*at].by_data.clone());
            let process = &mut history.processes[self.process];
            (process.descriptors, process.by_data) = (copies, by_data.unwrap_or_default());
        } else {
            history.processes[self.process].by_data.clear();
        }
        for (_, mut descriptor) in before {
            descriptor.closed_ns = Some(now);
            history.bury(descriptor);
        }
        let process = &mut history.processes[self.process];
        (process.ppid, process.is_fork, process.poller) = (start.ppid, start.is_fork, Some(start.poller));
        process.ended_ns = None;
        process.roomy.clear();
    }

    fn chaos(&self, history: &mut History, fact: &Fact<'_>) {
        let Fact::Chaos { kind, epfd, fd, ordinal, amount } = *fact else { return };
        let (now, tid) = (self.stamp.ns, self.stamp.tid);
        history.chaos_count += 1;
        if history.chaos.len() < MOST_CHAOS {
            history.chaos.push(Perturbed { ns: now, tid, kind, epfd, fd, ordinal, amount });
        }
        let what = What::Chaos { kind, epfd, fd, ordinal, amount };
        history.emit(Item { pid: self.pid, tid, begin_ns: now, end_ns: now, what });
    }

    /// The thread's own code before a call that begins at this time.
    fn own_code(&self, history: &mut History, begin_ns: u64) {
        let thread = &mut history.threads[self.thread];
        let (from, reported) = (thread.end_ns, thread.reported.take());
        if from == 0 {
            return;
        }
        let what = match reported {
            Some(events) => What::Handle { events },
            None if begin_ns.saturating_sub(from) >= OWN_NS => What::Own,
            None => return,
        };
        let end_ns = begin_ns.max(from);
        history.emit(Item { pid: self.pid, tid: self.stamp.tid, begin_ns: from, end_ns, what });
    }

    /// A call that began at this time and has just returned. Calls of a thread never overlap: one
    /// that a signal handler made inside another cuts the other's beginning off.
    fn call(&self, history: &mut History, began_ns: u64, what: What) -> Moment {
        let now = self.stamp.ns;
        let thread = &history.threads[self.thread];
        let begin_ns = if began_ns == 0 { now } else { began_ns }.max(thread.end_ns).min(now.max(thread.end_ns));
        let end_ns = now.max(begin_ns);
        self.own_code(history, begin_ns);
        let thread = &mut history.threads[self.thread];
        if let Some(scale) = history.scale {
            match what {
                What::Wait { timeout_ns, events, .. } => {
                    thread.end_wait(&scale, begin_ns, end_ns, timeout_ns, events);
                    thread.reported = Some(events).filter(|events| *events > 0);
                }
                _ => thread.call(&scale, begin_ns, end_ns),
            }
        }
        thread.end_ns = end_ns;
        history.emit(Item { pid: self.pid, tid: self.stamp.tid, begin_ns, end_ns, what });
        Moment { begin_ns, end_ns, tid: self.stamp.tid }
    }

    fn control(&self, history: &mut History, fact: &Fact<'_>) {
        let Fact::Control { epfd, op, fd, events, data, errno, site, began_ns } = *fact else { return };
        self.call(history, began_ns, What::Control { epfd, op, fd, events, errno });
        if errno != 0 {
            return;
        }
        let now = self.stamp.ns;
        let process = &mut history.processes[self.process];
        match Op::from_number(op) {
            Some(Op::Del) => process.forget_data(fd),
            Some(op) => {
                process.forget_data(fd);
                process.by_data.insert((epfd, data), fd);
                let descriptor = process.descriptor(fd, now);
                (descriptor.epfd, descriptor.mask, descriptor.data) = (epfd, events, data);
                descriptor.empty_ns = descriptor.empty_ns.max(now);
                if op == Op::Add {
                    descriptor.site = site;
                }
            }
            None => {}
        }
    }

    fn report(&self, history: &mut History, fact: &Fact<'_>) {
        let Fact::Report { epfd, max, timeout_ns, began_ns, errno, events, .. } = *fact else { return };
        let count = events.len() as u32;
        let wait = self.call(history, began_ns, What::Wait { epfd, timeout_ns, events: count, errno });
        let has_slept = wait.end_ns - wait.begin_ns >= SLEPT_NS;
        let process = &mut history.processes[self.process];
        process.waits += 1;
        process.events += u64::from(count);
        let roomy = process.roomy.get(&epfd).copied().unwrap_or(0);
        if errno == 0 && (events.len() as i64) < i64::from(max) {
            process.roomy.insert(epfd, self.stamp.ns);
        }
        for event in events {
            self.event(history, wait, has_slept, roomy, (epfd, *event));
        }
    }

    fn event(&self, history: &mut History, wait: Moment, has_slept: bool, roomy: u64, (epfd, event): (i32, Event)) {
        let now = self.stamp.ns;
        let process = &mut history.processes[self.process];
        let by_data = process.by_data.get(&(epfd, event.data)).copied();
        let fd = if event.fd == NO_FD { by_data.unwrap_or(NO_FD) } else { event.fd };
        if fd == NO_FD {
            process.unattributed += 1;
            return;
        }
        let bits = event.bits;
        let descriptor = process.descriptor(fd, now);
        let item = |begin_ns, end_ns, what| Item { pid: self.pid, tid: self.stamp.tid, begin_ns, end_ns, what };
        let Reported::Arrival { not_before_ns, was_emptied } = descriptor.report(now, roomy) else {
            return history.emit(item(now, now, What::Repeat { fd, bits }));
        };
        let is_awaited = has_slept && not_before_ns <= wait.begin_ns;
        let not_before_ns = if is_awaited { wait.begin_ns } else { not_before_ns };
        let (mut ended, mut emptied) = (None, None);
        if bits & IN != 0 {
            // A full read emptied it, as the wait that did not report it showed.
            emptied = descriptor.unread_since_ns.filter(|_| was_emptied).map(|since| (since, descriptor.last_read_ns));
            if emptied.is_some() || descriptor.unread_since_ns.is_none() {
                descriptor.unread_since_ns = Some(now);
            }
            let chain = Chain { fd, not_before_ns, is_awaited, report: wait, read: None, answer: None };
            ended = descriptor.chain.replace(chain);
        }
        history.emit(item(not_before_ns, now, What::Arrival { fd, bits, reason: event.reason }));
        if let Some((since, last_read_ns)) = emptied {
            history.emit(item(since, last_read_ns.max(since), What::Unread { fd }));
        }
        if is_awaited {
            history.latencies.awaited += 1;
        } else {
            history.latencies.report.add(now.saturating_sub(not_before_ns));
        }
        if let Some(chain) = ended {
            history.end_chain(self.pid, chain);
        }
    }

    fn transfer(&self, history: &mut History, fact: &Fact<'_>) {
        let Fact::Call { call, fd, other, asked, answer, began_ns, .. } = *fact else { return };
        let when = self.call(history, began_ns, What::Call { call, fd, other, asked, answer });
        if answer == -i64::from(libc::EAGAIN) && fd >= 0 {
            history.processes[self.process].descriptor(fd, when.begin_ns).again += 1;
        }
        let bytes = answer.max(0).unsigned_abs();
        // A short read leaves nothing; of 8 bytes there can be no short one (eventfd, timerfd).
        let is_empty = bytes < asked || bytes == 8;
        match call.class() {
            Class::Read => self.read(history, fd, bytes, is_empty, when),
            Class::Accept => {
                self.read(history, fd, 0, answer < 0, when);
                self.accept(history, fd, answer, when);
            }
            Class::Write => self.write(history, fd, answer, when),
            Class::Move => {
                self.read(history, fd, bytes, is_empty, when);
                if call == Call::Splice {
                    self.write(history, other, answer, when);
                }
            }
            Class::Shutdown | Class::SetTimer | Class::Other => {}
        }
    }

    fn read(&self, history: &mut History, fd: i32, bytes: u64, is_empty: bool, when: Moment) {
        if fd < 0 {
            return;
        }
        let process = &mut history.processes[self.process];
        process.bytes_in += bytes;
        let descriptor = process.descriptor(fd, when.begin_ns);
        let reported_ns =
            descriptor.chain.as_ref().filter(|chain| chain.read.is_none()).map(|chain| chain.report.end_ns);
        let emptied = descriptor.read(bytes, is_empty, when);
        if let Some(reported_ns) = reported_ns {
            history.latencies.read.add(when.begin_ns.saturating_sub(reported_ns));
        }
        if let Some(begin_ns) = emptied {
            let what = What::Unread { fd };
            history.emit(Item { pid: self.pid, tid: self.stamp.tid, begin_ns, end_ns: when.end_ns, what });
        }
    }

    fn accept(&self, history: &mut History, fd: i32, answer: i64, when: Moment) {
        if answer < 0 {
            return;
        }
        let accepted = answer as i32;
        self.close(history, accepted);
        let process = &mut history.processes[self.process];
        process.accepted += 1;
        process.descriptor(fd, when.begin_ns).accepted += 1;
        process.descriptor(accepted, when.end_ns);
    }

    fn write(&self, history: &mut History, fd: i32, answer: i64, when: Moment) {
        if fd < 0 {
            return;
        }
        let process = &mut history.processes[self.process];
        process.bytes_out += answer.max(0).unsigned_abs();
        if let Some(chain) = process.descriptor(fd, when.begin_ns).write(answer, when) {
            history.end_chain(self.pid, chain);
        }
    }

    fn close(&self, history: &mut History, fd: i32) {
        let process = &mut history.processes[self.process];
        process.forget_data(fd);
        let Some(mut descriptor) = process.descriptors.remove(&fd) else { return };
        descriptor.closed_ns = Some(self.stamp.ns);
        if let Some(begin_ns) = descriptor.emptied(self.stamp.ns) {
            let what = What::Unread { fd };
            history.emit(Item { pid: self.pid, tid: self.stamp.tid, begin_ns, end_ns: self.stamp.ns, what });
        }
        if let Some(chain) = descriptor.chain.take() {
            history.end_chain(self.pid, chain);
        }
        history.bury(descriptor);
    }
}
