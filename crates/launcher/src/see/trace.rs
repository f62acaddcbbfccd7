//! `-t`: the calls of epoll, as strace(1) prints them. A call is printed when it has returned.
//!
//! The library does not record the address of the array of a wait, which strace shows if the wait
//! fails: zeros take its place.

use super::history::item::UNFINISHED;
use super::peers::{self, Sockets};
use super::summary::because;
use super::text::parts;
use super::wishes::Style;
use super::words::epoll_bits;
use epolyfill_facts::wire::MOST_EVENTS;
use epolyfill_facts::{Event, Fact, Form, NO_FD, Op, Stamp};
use std::collections::{HashMap, HashSet};
use std::fmt::Write;

/// The column of the results.
const COLUMN: usize = 40;

/// As wide as an address.
const NO_ADDRESS: &str = "0x000000000000";

/// A line, with the time at which the call returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub ns: u64,
    pub text: String,
}

/// The trace of a run.
#[derive(Debug)]
pub struct Trace {
    style: Style,
    /// Every line has the process id, as in a file of `strace -f`.
    is_file: bool,
    lines: Vec<Line>,
    /// Reports of which more is to come, by thread.
    parts: HashMap<i32, (u64, Vec<Event>)>,
    /// The masks of registrations, by process, instance and descriptor.
    masks: HashMap<(i32, i32, i32), u32>,
    /// Descriptors in words, by process.
    described: HashMap<(i32, i32), String>,
    sockets: Sockets,
    /// The last look at a descriptor that owes a read, by process.
    owed: HashMap<(i32, i32), (i64, bool)>,
    /// The numbers of instances.
    instances: HashSet<i32>,
}

/// A process, as far as its lines need it.
#[derive(Clone, Copy, Debug)]
pub struct Of {
    pub pid: i32,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC.
    pub wall_offset_ns: i64,
    /// Whether there are other threads or processes.
    pub has_others: bool,
}

impl Trace {
    pub fn new(style: Style, is_file: bool) -> Trace {
        Trace {
            style,
            is_file,
            lines: Vec::new(),
            parts: HashMap::new(),
            masks: HashMap::new(),
            described: HashMap::new(),
            sockets: Sockets::default(),
            owed: HashMap::new(),
            instances: HashSet::new(),
        }
    }

    /// The lines since the last call, in the order in which the calls returned.
    pub fn lines(&mut self) -> String {
        self.sockets = Sockets::default();
        self.lines.sort_by_key(|line| line.ns);
        self.lines.drain(..).map(|line| line.text).collect()
    }

    /// Takes a fact.
    pub fn take(&mut self, of: Of, stamp: Stamp, fact: &Fact<'_>) {
        match *fact {
            Fact::Create { form, fd, flags, began_ns } => {
                let call = match form {
                    Form::EpollCreate => format!("epoll_create({flags})"),
                    _ => format!("epoll_create1({})", create_flags(flags)),
                };
                self.instances.insert(fd);
                let result = if fd < 0 { failed(-fd) } else { self.instance(fd) };
                self.put(of, stamp, began_ns, &call, &result);
            }
            Fact::Control { epfd, op, fd, events, data, errno, began_ns, .. } => {
                if errno == 0 {
                    self.masks.insert((of.pid, epfd, fd), events);
                }
                let is_address = op == libc::EPOLL_CTL_DEL || errno == libc::EFAULT;
                let event = if is_address { address(data) } else { event_text(events, data) };
                let (instance, descriptor) = (self.instance_of(epfd, errno), self.descriptor(of.pid, fd));
                let call = format!("epoll_ctl({instance}, {}, {descriptor}, {event})", op_text(op));
                self.put(of, stamp, began_ns, &call, &result(0, errno));
            }
            Fact::Report { .. } => self.report(of, stamp, fact),
            Fact::Close { fd } => {
                self.described.remove(&(of.pid, fd));
                self.instances.remove(&fd);
            }
            Fact::Dup { to, .. } => {
                self.described.remove(&(of.pid, to));
            }
            Fact::Look { fd, unread, is_after, .. } if self.style.edges => {
                // Looks during a sleep show the same.
                if self.owed.insert((of.pid, fd), (unread, is_after)) == Some((unread, is_after)) {
                    return;
                }
                let when = if is_after { "after" } else { "before" };
                let descriptor = self.descriptor(of.pid, fd);
                self.note(of, stamp, &format!("owed a read: {descriptor}, {unread} unread {when} a sleep"));
            }
            _ => {}
        }
    }

    fn report(&mut self, of: Of, stamp: Stamp, fact: &Fact<'_>) {
        let Fact::Report { form, mask, epfd, max, timeout_ns, began_ns, errno, events } = *fact else { return };
        let mut all = match self.parts.remove(&stamp.tid) {
            Some((began, before)) if began == began_ns => before,
            _ => Vec::new(),
        };
        all.extend_from_slice(events);
        let rest = usize::try_from(max).unwrap_or(0);
        if events.len() == MOST_EVENTS && all.len() < rest {
            // More may follow; a report that ends here is printed with the next one.
            self.parts.insert(stamp.tid, (began_ns, all));
            return;
        }
        let array = match errno {
            0 => format!("[{}]", all.iter().map(|one| event_text(one.bits, one.data)).collect::<Vec<_>>().join(", ")),
            _ => NO_ADDRESS.to_owned(),
        };
        let instance = self.instance_of(epfd, errno);
        let ms = if timeout_ns < 0 { -1 } else { timeout_ns / 1_000_000 };
        let call = match form {
            Form::EpollPwait => format!("epoll_pwait({instance}, {array}, {max}, {ms}, {}, 8)", mask_text(mask)),
            Form::EpollPwait2 => {
                let limit = timespec(timeout_ns);
                format!("epoll_pwait2({instance}, {array}, {max}, {limit}, {}, 8)", mask_text(mask))
            }
            _ => format!("epoll_wait({instance}, {array}, {max}, {ms})"),
        };
        self.put(of, stamp, began_ns, &call, &result(all.len() as i64, errno));
        if self.style.edges {
            self.edges(of, stamp, epfd, &all);
        }
    }

    /// Why each edge was one.
    fn edges(&mut self, of: Of, stamp: Stamp, epfd: i32, events: &[Event]) {
        for event in events.iter().filter(|event| event.fd != NO_FD) {
            self.owed.remove(&(of.pid, event.fd));
            let mask = self.masks.get(&(of.pid, epfd, event.fd)).copied().unwrap_or(0);
            if mask & libc::EPOLLET as u32 != 0 {
                let (descriptor, bits) = (self.descriptor(of.pid, event.fd), epoll_bits(event.bits));
                self.note(of, stamp, &format!("edge of {descriptor}: {bits}, {}", because(event.reason)));
            }
        }
    }

    fn instance(&self, epfd: i32) -> String {
        if self.style.descriptors && epfd >= 0 { format!("{epfd}<anon_inode:[eventpoll]>") } else { epfd.to_string() }
    }

    /// The instance of a call. With EBADF the descriptor of the call may be closed.
    fn instance_of(&self, epfd: i32, errno: i32) -> String {
        if errno == libc::EBADF && !self.instances.contains(&epfd) { epfd.to_string() } else { self.instance(epfd) }
    }

    fn descriptor(&mut self, pid: i32, fd: i32) -> String {
        if !self.style.descriptors {
            return fd.to_string();
        }
        let Trace { described, sockets, .. } = self;
        let words =
            described.entry((pid, fd)).or_insert_with(|| peers::as_strace(pid, fd, sockets).unwrap_or_default());
        if words.is_empty() { fd.to_string() } else { format!("{fd}<{words}>") }
    }

    fn head(&self, of: Of, stamp: Stamp, ns: u64) -> String {
        let tid = stamp.tid;
        let who = match (self.is_file, of.has_others || tid != of.pid) {
            (true, _) => format!("{tid:<5} "),
            (false, true) => format!("[pid {tid:>5}] "),
            (false, false) => String::new(),
        };
        let ns = ns.cast_signed().saturating_add(of.wall_offset_ns);
        let micros = ns.rem_euclid(1_000_000_000) / 1000;
        match self.style.times {
            0 | 1 => who,
            2 => {
                let time = parts(ns).map_or_else(String::new, |[.., hour, minute, second]| {
                    format!("{hour:02}:{minute:02}:{second:02}")
                });
                format!("{who}{time}.{micros:06} ")
            }
            _ => format!("{who}{}.{micros:06} ", ns.div_euclid(1_000_000_000)),
        }
    }

    fn put(&mut self, of: Of, stamp: Stamp, began_ns: u64, call: &str, result: &str) {
        let mut text = self.head(of, stamp, began_ns) + call;
        let width = text.chars().count();
        let _ = write!(text, "{:pad$} = {result}", "", pad = COLUMN.saturating_sub(width + 1));
        if self.style.durations {
            let took = stamp.ns.saturating_sub(began_ns) / 1000;
            let _ = write!(text, " <{}.{:06}>", took / 1_000_000, took % 1_000_000);
        }
        text.push('\n');
        self.lines.push(Line { ns: stamp.ns, text });
    }

    fn note(&mut self, of: Of, stamp: Stamp, words: &str) {
        let text = format!("{}--- {words} ---\n", self.head(of, stamp, stamp.ns));
        self.lines.push(Line { ns: stamp.ns, text });
    }
}

fn result(answer: i64, errno: i32) -> String {
    match errno {
        0 => answer.to_string(),
        UNFINISHED => "?".to_owned(),
        errno => failed(errno),
    }
}

/// "-1 EBADF (Bad file descriptor)".
fn failed(errno: i32) -> String {
    let words = std::io::Error::from_raw_os_error(errno).to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    format!("-1 {} ({words})", super::words::errno(errno.into()))
}

fn create_flags(flags: i32) -> String {
    match flags {
        0 => "0".to_owned(),
        libc::EPOLL_CLOEXEC => "EPOLL_CLOEXEC".to_owned(),
        flags if flags & libc::EPOLL_CLOEXEC != 0 => format!("EPOLL_CLOEXEC|{:#x}", flags & !libc::EPOLL_CLOEXEC),
        flags => format!("{flags:#x} /* EPOLL_??? */"),
    }
}

fn op_text(op: i32) -> String {
    match Op::from_number(op) {
        Some(_) => format!("EPOLL_CTL_{}", super::words::op(op)),
        None => format!("{op:#x} /* EPOLL_CTL_??? */"),
    }
}

/// The bits in strace's order, which is that of their values.
const BITS: [(u32, &str); 15] = [
    (0x1, "IN"),
    (0x2, "PRI"),
    (0x4, "OUT"),
    (0x8, "ERR"),
    (0x10, "HUP"),
    (0x40, "RDNORM"),
    (0x80, "RDBAND"),
    (0x100, "WRNORM"),
    (0x200, "WRBAND"),
    (0x400, "MSG"),
    (0x2000, "RDHUP"),
    (1 << 28, "EXCLUSIVE"),
    (1 << 29, "WAKEUP"),
    (1 << 30, "ONESHOT"),
    (1 << 31, "ET"),
];

fn event_text(events: u32, data: u64) -> String {
    let known = BITS.iter().filter(|(bit, _)| events & bit != 0);
    let mut names: Vec<String> = known.map(|(_, name)| format!("EPOLL{name}")).collect();
    let rest = BITS.iter().fold(events, |rest, (bit, _)| rest & !bit);
    match (rest, names.is_empty()) {
        (0, true) => names.push("0".to_owned()),
        (0, false) => {}
        (rest, true) => names.push(format!("{rest:#x} /* EPOLL??? */")),
        (rest, false) => names.push(format!("{rest:#x}")),
    }
    format!("{{events={}, data={{u32={}, u64={data}}}}}", names.join("|"), data as u32)
}

fn address(address: u64) -> String {
    if address == 0 { "NULL".to_owned() } else { format!("{address:#x}") }
}

fn timespec(ns: i64) -> String {
    match ns {
        ..0 => "NULL".to_owned(),
        ns => format!("{{tv_sec={}, tv_nsec={}}}", ns / 1_000_000_000, ns % 1_000_000_000),
    }
}

/// A signal mask: of one with most signals those that it lacks.
fn mask_text(mask: Option<u64>) -> String {
    const MOST: u32 = 64 * 2 / 3;
    let Some(mask) = mask else { return "NULL".to_owned() };
    let is_most = mask.count_ones() >= MOST;
    let shown = if is_most { !mask } else { mask };
    let names: Vec<String> = (1..=64).filter(|number| shown >> (number - 1) & 1 != 0).map(signal).collect();
    format!("{}[{}]", if is_most { "~" } else { "" }, names.join(" "))
}

/// The name of a signal without SIG; real-time signals count from 32.
fn signal(number: i32) -> String {
    match number {
        32 => "RTMIN".to_owned(),
        33.. => format!("RT_{}", number - 32),
        _ => match nix::sys::signal::Signal::try_from(number) {
            Ok(signal) => signal.as_str().trim_start_matches("SIG").to_owned(),
            Err(_) => number.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use epolyfill_facts::{Reason, SiteId};

    const OF: Of = Of { pid: 7, wall_offset_ns: 0, has_others: false };

    fn lines(style: Style, is_file: bool, facts: &[Fact<'_>]) -> String {
        let mut trace = Trace::new(style, is_file);
        for fact in facts {
            trace.take(OF, Stamp { ns: 2_000_012_345, tid: 7 }, fact);
        }
        trace.lines()
    }

    fn wait(events: &[Event], errno: i32) -> Fact<'_> {
        let (form, mask, epfd, max, timeout_ns) = (Form::EpollWait, None, 3, 8, 5_000_000);
        Fact::Report { form, mask, epfd, max, timeout_ns, began_ns: 2_000_000_000, errno, events }
    }

    #[test]
    fn lines_are_as_strace_prints_them() {
        let events = [Event { bits: 0x41, fd: 4, data: 0x1234_5678_1234_5678, reason: Reason::Count }];
        let (site, began_ns) = (SiteId(0), 2_000_000_000);
        let control = |op, events, errno| Fact::Control { epfd: 3, op, fd: 4, events, data: 4, errno, site, began_ns };
        let facts = [
            Fact::Create { form: Form::EpollCreate1, fd: 3, flags: libc::EPOLL_CLOEXEC, began_ns },
            Fact::Create { form: Form::EpollCreate1, fd: -libc::EINVAL, flags: 77, began_ns },
            control(1, 0x8000_0001, 0),
            control(3, 0, libc::ENOENT),
            Fact::Control { epfd: 3, op: 2, fd: 4, events: 0, data: 0, errno: 0, site, began_ns },
            Fact::Control { epfd: 3, op: 2, fd: 4, events: 0, data: 0x7ffd_33c5_2f94, errno: 0, site, began_ns },
            wait(&events, 0),
            wait(&[], 0),
            wait(&[], libc::EINTR),
        ];
        assert_eq!(
            lines(Style::default(), false, &facts),
            "epoll_create1(EPOLL_CLOEXEC)            = 3\n\
             epoll_create1(0x4d /* EPOLL_??? */)     = -1 EINVAL (Invalid argument)\n\
             epoll_ctl(3, EPOLL_CTL_ADD, 4, {events=EPOLLIN|EPOLLET, data={u32=4, u64=4}}) = 0\n\
             epoll_ctl(3, EPOLL_CTL_MOD, 4, {events=0, data={u32=4, u64=4}}) = -1 ENOENT (No such file or directory)\n\
             epoll_ctl(3, EPOLL_CTL_DEL, 4, NULL)    = 0\n\
             epoll_ctl(3, EPOLL_CTL_DEL, 4, 0x7ffd33c52f94) = 0\n\
             epoll_wait(3, [{events=EPOLLIN|EPOLLRDNORM, data={u32=305419896, u64=1311768465173141112}}], 8, 5) = 1\n\
             epoll_wait(3, [], 8, 5)                 = 0\n\
             epoll_wait(3, 0x000000000000, 8, 5)     = -1 EINTR (Interrupted system call)\n"
        );
    }

    #[test]
    fn times_durations_edges_and_process_ids_are_added() {
        let style = Style { times: 3, durations: true, edges: true, ..Style::default() };
        let event = Event { bits: 1, fd: 4, data: 4, reason: Reason::Count };
        let (site, began_ns) = (SiteId(0), 2_000_000_000);
        let add = Fact::Control { epfd: 3, op: 1, fd: 4, events: 0x8000_0001, data: 4, errno: 0, site, began_ns };
        let look = Fact::Look { epfd: 3, fd: 4, levels: 1, unread: 36, is_after: false };
        assert_eq!(
            lines(style, true, &[add, look, look, wait(&[event], 0)]),
            "7     2.000000 epoll_ctl(3, EPOLL_CTL_ADD, 4, {events=EPOLLIN|EPOLLET, data={u32=4, u64=4}}) = 0 <0.000012>\n\
             7     2.000012 --- owed a read: 4, 36 unread before a sleep ---\n\
             7     2.000000 epoll_wait(3, [{events=EPOLLIN, data={u32=4, u64=4}}], 8, 5) = 1 <0.000012>\n\
             7     2.000012 --- edge of 4: EPOLLIN, count of arrivals grew ---\n"
        );
    }

    #[test]
    fn masks_are_those_of_strace() {
        assert_eq!(mask_text(None), "NULL");
        assert_eq!(mask_text(Some(0)), "[]");
        assert_eq!(mask_text(Some(1 << 1 | 1 << 9 | 1 << 36)), "[INT USR1 RT_5]");
        assert_eq!(mask_text(Some(!(3 << 31 | 1 << 14))), "~[TERM RTMIN RT_1]");
    }

    #[test]
    fn a_report_in_parts_is_one_line() {
        let events = vec![Event { bits: 1, fd: 4, data: 4, reason: Reason::Unknown }; MOST_EVENTS];
        let mut trace = Trace::new(Style::default(), false);
        for part in [&events[..], &events[..2]] {
            let (form, mask, epfd, max, timeout_ns) = (Form::EpollWait, None, 3, 1000, -1);
            let fact = Fact::Report { form, mask, epfd, max, timeout_ns, began_ns: 1, errno: 0, events: part };
            trace.take(OF, Stamp { ns: 2, tid: 7 }, &fact);
        }
        let lines = trace.lines();
        assert!(lines.ends_with("], 1000, -1) = 130\n"), "{lines}");
        assert_eq!(lines.lines().count(), 1);
    }
}
