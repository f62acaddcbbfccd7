//! A traced process: its descriptors, its audit, and the facts that one of its calls is.

use crate::args::{Args, Fd, event, fd, int, items, sum};
use crate::call::{Returned, range};
use crate::kin;
use crate::label;
use crate::names;
use crate::table::{Child, File, FileId, Files, Table, View, made_kind};
use epolyfill_audit::{Auditor, Finding, Summary};
use epolyfill_facts::{Call, Class, Event, Fact, Form, Kind, NO_FD, Poller, Reason, SiteId, Stamp, Start, errno};

/// A traced process.
#[derive(Debug)]
pub struct Process {
    pub pid: i32,
    pub auditor: Auditor,
    /// Findings of the programs that it executed before.
    pub past: Vec<(Vec<Finding>, Summary)>,
    pub table: Table,
    pub children: Vec<Child>,
    /// Its living threads that the trace has shown.
    pub threads: u32,
}

fn started(pid: i32, ppid: i32, is_fork: bool) -> Fact<'static> {
    Fact::Start(Start { pid, ppid, is_fork, wall_offset_ns: 0, poller: Poller::Traced })
}

impl Process {
    /// A process that the trace shows from its beginning, or finds running.
    pub fn new(pid: i32, ppid: i32, stamp: Stamp, files: &Files) -> Process {
        let mut process = Process {
            pid,
            auditor: Auditor::new(),
            past: Vec::new(),
            table: Table::default(),
            children: Vec::new(),
            threads: 0,
        };
        process.take(files, stamp, &started(pid, ppid, false));
        process
    }

    /// A forked child: it has the descriptors and the registrations of its parent, and findings of
    /// its own.
    pub fn fork(&self, pid: i32, stamp: Stamp, files: &Files) -> Process {
        let mut child = Process::new(pid, self.pid, stamp, files);
        child.table = self.table.clone();
        let mirror = self.auditor.mirror();
        let mut registrations = Vec::new();
        for (_, instance) in mirror.instances() {
            let known = instance.registrations.iter().filter_map(|id| mirror.registration(*id));
            registrations.extend(known.filter(|r| !r.is_ghost).map(|r| (r.epfd, r.fd, r.events, r.data)));
        }
        registrations.sort_unstable();
        for (epfd, fd, events, data) in registrations {
            let (op, errno, site) = (1, 0, SiteId(0));
            let control = Fact::Control { epfd, op, fd, events, data, errno, site, began_ns: stamp.ns };
            child.take(files, stamp, &control);
        }
        child.take(files, stamp, &started(pid, self.pid, true));
        child
    }

    /// Gives a fact to the audit.
    pub fn take(&mut self, files: &Files, stamp: Stamp, fact: &Fact<'_>) {
        let Process { auditor, table, children, threads, .. } = self;
        auditor.take(stamp, fact, &mut View { files, table, children, threads: *threads });
    }

    /// Ticks that are due.
    pub fn tick(&mut self, files: &Files, now_ns: u64) {
        const MOST: u32 = 64;
        for _ in 0..MOST {
            let Some(due) = self.auditor.next_due_ns().filter(|due| *due <= now_ns) else { return };
            self.look(files, due);
        }
    }

    /// A tick in each of the threads that wait.
    pub fn look(&mut self, files: &Files, ns: u64) {
        let Process { auditor, table, children, pid, threads, .. } = self;
        let waiting = auditor.mirror().threads().filter(|(_, thread)| thread.waits_since_ns.is_some());
        let mut tids: Vec<i32> = waiting.map(|(tid, _)| tid).collect();
        tids.sort_unstable();
        if tids.is_empty() {
            tids.push(*pid);
        }
        for tid in tids {
            auditor.tick(Stamp { ns, tid }, &mut View { files, table, children, threads: *threads });
        }
    }

    /// The file of a descriptor in a line. One that was not known is learnt; if it is another than
    /// before, the old one was closed unseen.
    fn see(&mut self, files: &mut Files, stamp: Stamp, fd: Fd<'_>) -> FileId {
        if let Some(file) = self.table.file(fd.number) {
            let Some(label) = fd.label else { return file };
            if files.files[file].label == label {
                return file;
            }
            if !label::differ(&files.files[file].label, label) || files.files[file].label.is_empty() {
                let known = &mut files.files[file];
                label.clone_into(&mut known.label);
                if known.kind == Kind::Unidentified {
                    known.kind = label::kind(label);
                }
                return file;
            }
            self.take(files, stamp, &Fact::Close { fd: fd.number });
        }
        let kept = files.kept(fd.label);
        let file = kept.unwrap_or_else(|| files.add(File::new(Kind::Unidentified, fd.label)));
        self.table.set(fd.number, file, false);
        file
    }

    /// A call begins: what is a fact before it has returned. `outcome` is known of a call on one line.
    pub fn enter(
        &mut self,
        files: &mut Files,
        stamp: Stamp,
        name: &str,
        text: &str,
        wait: Option<kin::Wait>,
        outcome: Option<i64>,
    ) {
        let mut args = Args::new(text);
        match name {
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => {
                let Some(fd) = args.fd() else { return };
                let (max, timeout_ns) = wait.unwrap_or((1, -1));
                if outcome.is_none_or(|value| value >= 0) {
                    self.see(files, stamp, fd);
                }
                self.take(files, stamp, &Fact::Wait { epfd: fd.number, max, timeout_ns });
            }
            "close" => {
                let Some(fd) = args.fd() else { return };
                let is_open =
                    outcome.map_or(self.table.file(fd.number).is_some(), |value| errno::of(value) != errno::EBADF);
                if is_open {
                    self.see(files, stamp, fd);
                    self.close(files, stamp, fd.number);
                }
            }
            _ if outcome.is_none() => self.reading(files, name, text, 1),
            _ => {}
        }
    }

    /// A read begins that does not end on its line, or that read ends.
    pub fn reading(&self, files: &mut Files, name: &str, text: &str, change: i32) {
        if let Some(call) = named(name)
            && matches!(call.class(), Class::Read | Class::Move)
            && let Some(file) = Args::new(text).fd().and_then(|fd| self.table.file(fd.number))
        {
            files.reading(file, change);
        }
    }

    fn close(&mut self, files: &Files, stamp: Stamp, fd: i32) {
        self.take(files, stamp, &Fact::Close { fd });
        self.table.close(fd);
    }

    /// A call has returned. `began_ns` is when it began.
    pub fn leave(&mut self, files: &mut Files, stamp: Stamp, began_ns: u64, call: Returned<'_>) {
        let mut args = call.args();
        match call.name {
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => self.report(files, stamp, began_ns, call),
            "epoll_create" | "epoll_create1" => {
                let form = if call.name == "epoll_create" { Form::EpollCreate } else { Form::EpollCreate1 };
                let flags = if call.text.contains("EPOLL_CLOEXEC") { 0o2_000_000 } else { 0 };
                let fd = call.outcome.value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
                self.made(files, stamp, call);
                self.take(files, stamp, &Fact::Create { form, fd, flags, began_ns });
            }
            "epoll_ctl" => self.control(files, stamp, began_ns, call),
            "close_range" if call.is_success() => {
                let Some((first, last, is_cloexec)) = range(call.text) else { return };
                for fd in self.table.open(first, last) {
                    if is_cloexec {
                        self.table.cloexec(fd, true);
                    } else {
                        self.close(files, stamp, fd);
                    }
                }
            }
            "dup" | "dup2" | "dup3" => self.duplicate(files, stamp, call),
            "fcntl" | "fcntl64" => {
                let Some(fd) = call.used() else { return };
                let file = self.see(files, stamp, fd);
                let command = args.skip(1).text();
                match command {
                    "F_DUPFD" | "F_DUPFD_CLOEXEC" => self.duplicate(files, stamp, call),
                    "F_GETFL" if call.is_success() => {
                        files.files[file].is_nonblocking = Some(call.outcome.remark.contains("O_NONBLOCK"));
                    }
                    "F_SETFL" if call.is_success() => {
                        files.files[file].is_nonblocking = Some(args.text().contains("O_NONBLOCK"));
                    }
                    "F_SETFD" if call.is_success() => self.table.cloexec(fd.number, args.text().contains("FD_CLOEXEC")),
                    _ => {}
                }
            }
            "execve" | "execveat" if call.is_success() => self.exec(files, stamp),
            name => {
                if let Some(made) = named(name) {
                    self.call(files, stamp, began_ns, made, call);
                }
                if name == "io_uring_setup" && call.is_success() {
                    files.is_doubtful = true;
                }
                self.made(files, stamp, call);
            }
        }
    }

    /// Another program begins, with what passed execve.
    fn exec(&mut self, files: &Files, stamp: Stamp) {
        self.take(files, stamp, &Fact::Exec);
        let before = std::mem::take(&mut self.auditor);
        let (findings, summary) = (before.findings().to_vec(), before.summary());
        if summary.waits > 0 || !findings.is_empty() {
            self.past.push((findings, summary));
        }
        self.table.exec();
        self.children.clear();
        self.take(files, stamp, &started(self.pid, 0, false));
    }

    /// The descriptors that a call made.
    fn made(&mut self, files: &mut Files, stamp: Stamp, call: Returned<'_>) {
        let made = call.made();
        let accepted = match call.name {
            "accept" | "accept4" => Some(true),
            _ => None,
        };
        let is_cloexec = call.text.contains("CLOEXEC");
        let is_nonblocking = Some(call.text.contains("NONBLOCK") || call.text.contains("O_NDELAY"));
        let mut ids = [None; 2];
        for (id, fd) in ids.iter_mut().zip(made) {
            let Some(fd) = fd else { continue };
            if self.table.file(fd.number).is_some() && !call.name.starts_with("accept") {
                // Its close was not seen.
                self.take(files, stamp, &Fact::Close { fd: fd.number });
            }
            let kind = made_kind(call.name, fd, call.text);
            let file = files.add(File { accepted, is_nonblocking, ..File::new(kind, fd.label) });
            self.table.set(fd.number, file, is_cloexec);
            *id = Some(file);
        }
        let [Some(one), Some(other)] = ids else { return };
        match files.files[one].kind {
            Kind::Pipe => {
                let channel = Some(files.channel());
                (files.files[one].reads, files.files[other].writes) = (channel, channel);
            }
            Kind::UnixStream => {
                let (there, back) = (Some(files.channel()), Some(files.channel()));
                (files.files[one].reads, files.files[other].writes) = (there, there);
                (files.files[other].reads, files.files[one].writes) = (back, back);
            }
            _ => return,
        }
        files.keep(one, other);
    }

    fn duplicate(&mut self, files: &mut Files, stamp: Stamp, call: Returned<'_>) {
        let (Some(from), Ok(to)) = (call.used(), i32::try_from(call.outcome.value)) else { return };
        let file = self.see(files, stamp, from);
        if to < 0 || to == from.number {
            return;
        }
        if self.table.file(to).is_some() {
            self.close(files, stamp, to);
        }
        self.table.set(to, file, call.text.contains("CLOEXEC"));
        self.take(files, stamp, &Fact::Dup { from: from.number, to });
    }

    fn control(&mut self, files: &mut Files, stamp: Stamp, began_ns: u64, call: Returned<'_>) {
        let mut args = call.args();
        let (Some(epfd), Some(op), Some(fd)) = (args.fd(), names::op(args.text()), args.fd()) else { return };
        let known = event(args.text());
        if call.is_success() {
            self.see(files, stamp, epfd);
            self.see(files, stamp, fd);
            if known.is_none() && op != 2 {
                return; // Nothing is known of the registration.
            }
        }
        let (events, data) = if op == 2 { (0, 0) } else { known.unwrap_or_default() };
        let (epfd, fd, site) = (epfd.number, fd.number, SiteId(0));
        let errno = errno::of(call.outcome.value);
        self.take(files, stamp, &Fact::Control { epfd, op, fd, events, data, errno, site, began_ns });
    }

    fn report(&mut self, files: &Files, stamp: Stamp, began_ns: u64, call: Returned<'_>) {
        let mut args = call.args();
        let Some(epfd) = args.fd() else { return };
        let array = args.text();
        let n = usize::try_from(call.outcome.value).unwrap_or(0);
        let mut events = Vec::new();
        if n > 0 {
            let of = |(bits, data)| Event { bits, fd: NO_FD, data, reason: Reason::Unknown };
            events.extend(items(array).filter_map(event).map(of).take(n));
        }
        let (max, timeout_ns) = kin::wait(call.name, call.text);
        let form = match call.name {
            "epoll_pwait" => Form::EpollPwait,
            "epoll_pwait2" => Form::EpollPwait2,
            _ => Form::EpollWait,
        };
        let (epfd, errno) = (epfd.number, errno::of(call.outcome.value));
        let report = Fact::Report { epfd, form, mask: None, max, timeout_ns, began_ns, errno, events: &events };
        self.take(files, stamp, &report);
    }

    fn call(&mut self, files: &mut Files, stamp: Stamp, began_ns: u64, made: Call, call: Returned<'_>) {
        let text = call.args().text();
        let Some(first) = fd(text) else { return };
        let Some((asked, flags, second)) = shape(made, call) else { return };
        let mut answer = call.outcome.value;
        if answer > 0 {
            answer = match made {
                Call::Recvmmsg | Call::Sendmmsg => sum(call.text, "msg_len=").cast_signed(),
                _ => answer,
            };
        }
        let is_peek = u64::from(flags.cast_unsigned()) & names::MSG_PEEK != 0 && made.class() == Class::Read;
        let file = call.used().map(|fd| self.see(files, stamp, fd));
        let other_file = second.filter(|_| call.is_success()).map(|fd| self.see(files, stamp, fd));
        if let Some(file) = file {
            self.learn(files, file, made, call);
            self.count(files, (file, other_file), made, is_peek, answer);
        }
        if call.text.contains("SCM_RIGHTS") {
            files.is_doubtful = true;
        }
        let other = second.map_or(NO_FD, |fd| fd.number);
        let fact = Fact::Call { call: made, fd: first.number, other, asked, answer, flags, began_ns };
        self.take(files, stamp, &fact);
    }

    /// What a call shows of its file.
    fn learn(&mut self, files: &mut Files, file: FileId, made: Call, call: Returned<'_>) {
        let file = &mut files.files[file];
        match made {
            Call::Listen if call.is_success() => {
                file.kind = match file.kind {
                    Kind::Tcp => Kind::TcpListener,
                    Kind::UnixStream | Kind::UnixSeqpacket => Kind::UnixListener,
                    kind => kind,
                };
            }
            Call::Accept => {
                file.kind = match file.kind {
                    Kind::Tcp => Kind::TcpListener,
                    Kind::UnixStream | Kind::UnixSeqpacket => Kind::UnixListener,
                    kind => kind,
                };
            }
            Call::Connect => file.accepted = Some(false),
            Call::Ioctl if call.is_success() && call.text.contains("FIONBIO") => {
                file.is_nonblocking = Some(!call.text.contains("[0]"));
            }
            _ => {}
        }
    }

    /// Counts the bytes that a call moved.
    fn count(&mut self, files: &mut Files, file: (FileId, Option<FileId>), made: Call, is_peek: bool, answer: i64) {
        let (file, other) = file;
        let bytes = u64::try_from(answer).unwrap_or(0);
        match made.class() {
            Class::Read => {
                files.taken(file, if is_peek { 0 } else { bytes });
            }
            Class::Move => {
                if made != Call::Tee {
                    files.taken(file, bytes);
                }
                if let Some(other) = other {
                    files.written(other, bytes);
                }
            }
            Class::Write => files.written(file, bytes),
            _ => {}
        }
    }
}

/// The call of a name.
fn named(name: &str) -> Option<Call> {
    Some(match name {
        "read" => Call::Read,
        "readv" => Call::Readv,
        "preadv2" => Call::Preadv2,
        "recv" | "recvfrom" => Call::Recvfrom,
        "recvmsg" => Call::Recvmsg,
        "recvmmsg" | "recvmmsg_time64" => Call::Recvmmsg,
        "write" => Call::Write,
        "writev" => Call::Writev,
        "pwritev2" => Call::Pwritev2,
        "send" | "sendto" => Call::Sendto,
        "sendmsg" => Call::Sendmsg,
        "sendmmsg" => Call::Sendmmsg,
        "sendfile" | "sendfile64" => Call::Sendfile,
        "splice" => Call::Splice,
        "tee" => Call::Tee,
        "vmsplice" => Call::Vmsplice,
        "accept" | "accept4" => Call::Accept,
        "connect" => Call::Connect,
        "listen" => Call::Listen,
        "shutdown" => Call::Shutdown,
        "getsockopt" => Call::Getsockopt,
        "setsockopt" => Call::Setsockopt,
        "ioctl" => Call::Ioctl,
        "timerfd_settime" | "timerfd_settime64" => Call::TimerfdSettime,
        "signalfd" | "signalfd4" => Call::Signalfd,
        "mq_timedreceive" => Call::MqReceive,
        "mq_timedsend" => Call::MqSend,
        _ => return None,
    })
}

/// The bytes that a call asked for, its flags, and its other descriptor. `None` for a call that is
/// not a fact.
fn shape<'a>(made: Call, call: Returned<'a>) -> Option<(u64, i32, Option<Fd<'a>>)> {
    let mut args = call.args();
    let bytes = |text: &str| int(text).map_or(0, i64::cast_unsigned);
    let flags = |text: &str, table| names::flags(text, table).unwrap_or(0) as i32;
    Some(match made {
        Call::Read | Call::Write | Call::MqReceive | Call::MqSend => (bytes(args.skip(2).text()), 0, None),
        Call::Recvfrom | Call::Sendto => {
            let asked = bytes(args.skip(2).text());
            (asked, flags(args.text(), names::MSG), None)
        }
        Call::Recvmsg | Call::Sendmsg => (sum(call.text, "iov_len="), flags(args.skip(2).text(), names::MSG), None),
        Call::Recvmmsg | Call::Sendmmsg => (sum(call.text, "iov_len="), flags(args.skip(3).text(), names::MSG), None),
        Call::Readv | Call::Writev | Call::Preadv2 | Call::Pwritev2 | Call::Vmsplice => {
            (sum(call.text, "iov_len="), 0, None)
        }
        Call::Sendfile => {
            let other = args.skip(1).fd();
            (bytes(args.skip(1).text()), 0, other)
        }
        Call::Splice => {
            let other = args.skip(2).fd();
            let asked = bytes(args.skip(1).text());
            (asked, flags(args.text(), names::SPLICE), other)
        }
        Call::Tee => {
            let other = args.skip(1).fd();
            let asked = bytes(args.text());
            (asked, flags(args.text(), names::SPLICE), other)
        }
        Call::Shutdown => (0, names::side(args.skip(1).text())?, None),
        Call::Getsockopt if !call.text.contains("SO_ERROR") => return None,
        Call::Signalfd if args.fd()?.number < 0 => return None,
        _ => (0, 0, None),
    })
}
