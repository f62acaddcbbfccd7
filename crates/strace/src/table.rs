//! The descriptors of the traced processes, and what a trace can know about them: the world of the
//! audit.
//!
//! Unread bytes are known of a pipe or a pair of unix stream sockets that was made within the trace,
//! if all who could write or read are in it. Of a TCP connection they are not: what one end has
//! written can still be under way.

use crate::args::Fd;
use crate::label;
use epolyfill_audit::{Described, Finding, ThreadTimes, World};
use epolyfill_facts::Kind;
use epolyfill_facts::mask::INPUT;
use std::collections::HashMap;

pub type FileId = usize;
pub type ChannelId = usize;

/// An open file description.
#[derive(Clone, Debug)]
pub struct File {
    pub kind: Kind,
    pub label: String,
    pub accepted: Option<bool>,
    pub is_nonblocking: Option<bool>,
    pub reads: Option<ChannelId>,
    pub writes: Option<ChannelId>,
}

impl File {
    pub fn new(kind: Kind, label: Option<&str>) -> File {
        let kind = label
            .map(label::kind)
            .filter(|known| *known != Kind::Unidentified && kind == Kind::Unidentified)
            .unwrap_or(kind);
        let label = label.unwrap_or_default().to_owned();
        File { kind, label, accepted: None, is_nonblocking: None, reads: None, writes: None }
    }
}

/// Bytes on their way from one descriptor to another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Channel {
    pub unread: u64,
    /// A call of the trace has read from it.
    pub is_read: bool,
    /// Reads that are not finished.
    pub reading: u32,
}

/// The files of all processes.
#[derive(Debug, Default)]
pub struct Files {
    pub files: Vec<File>,
    pub channels: Vec<Channel>,
    /// The files that have channels, by their descriptions. The ends of a pipe have one description,
    /// and one file stands for both.
    pub by_label: HashMap<String, FileId>,
    /// Something became readable since this was last set to false.
    pub has_risen: bool,
    /// Every thread is in the trace.
    pub has_threads: bool,
    /// Processes can have descriptors that the trace does not show.
    pub is_doubtful: bool,
}

impl Files {
    pub fn add(&mut self, file: File) -> FileId {
        self.files.push(file);
        self.files.len() - 1
    }

    pub fn channel(&mut self) -> ChannelId {
        self.channels.push(Channel::default());
        self.channels.len() - 1
    }

    /// Keeps the ends of a pipe or of a pair of sockets, for a process that has inherited them.
    pub fn keep(&mut self, one: FileId, other: FileId) {
        let is_pipe = self.files[one].kind == Kind::Pipe;
        for id in [one, other] {
            let label = self.files[id].label.clone();
            if label::identity(&label).is_none() {
                continue;
            }
            let mut file = id;
            if is_pipe {
                let (reads, writes) = (self.files[one].reads, self.files[one].reads);
                file = self.add(File { reads, writes, ..self.files[id].clone() });
            }
            self.by_label.insert(label, file);
        }
    }

    /// The file of a description, if it was kept.
    pub fn kept(&self, label: Option<&str>) -> Option<FileId> {
        self.by_label.get(label?).copied()
    }

    /// Bytes that are unread for certain.
    fn unread(&self, file: FileId) -> Option<u64> {
        let channel = self.channels.get(self.files.get(file)?.reads?)?;
        (!self.is_doubtful && channel.is_read && channel.reading == 0).then_some(channel.unread)
    }

    pub fn written(&mut self, file: FileId, bytes: u64) {
        if let Some(channel) = self.files.get(file).and_then(|file| file.writes) {
            self.has_risen |= self.channels[channel].unread == 0 && bytes > 0;
            self.channels[channel].unread = self.channels[channel].unread.saturating_add(bytes);
        }
    }

    pub fn taken(&mut self, file: FileId, bytes: u64) {
        if let Some(channel) = self.files.get(file).and_then(|file| file.reads) {
            let channel = &mut self.channels[channel];
            channel.unread = channel.unread.saturating_sub(bytes);
            channel.is_read = true;
        }
    }

    /// A read begins, or ends.
    pub fn reading(&mut self, file: FileId, change: i32) {
        if let Some(channel) = self.files.get(file).and_then(|file| file.reads) {
            let reading = &mut self.channels[channel].reading;
            *reading = reading.saturating_add_signed(change);
        }
    }
}

/// A number of a process.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    pub file: FileId,
    pub is_cloexec: bool,
}

/// The numbers of a process; `None` for one that is known to be closed.
#[derive(Clone, Debug, Default)]
pub struct Table {
    numbers: HashMap<i32, Option<Number>>,
}

impl Table {
    pub fn file(&self, fd: i32) -> Option<FileId> {
        self.numbers.get(&fd).copied().flatten().map(|number| number.file)
    }

    pub fn set(&mut self, fd: i32, file: FileId, is_cloexec: bool) {
        self.numbers.insert(fd, Some(Number { file, is_cloexec }));
    }

    pub fn close(&mut self, fd: i32) {
        self.numbers.insert(fd, None);
    }

    pub fn cloexec(&mut self, fd: i32, is_cloexec: bool) {
        if let Some(Some(number)) = self.numbers.get_mut(&fd) {
            number.is_cloexec = is_cloexec;
        }
    }

    /// The open numbers from `first` to `last`.
    pub fn open(&self, first: i32, last: i32) -> Vec<i32> {
        let open = self.numbers.iter().filter(|(fd, number)| (first..=last).contains(*fd) && number.is_some());
        let mut open: Vec<i32> = open.map(|(fd, _)| *fd).collect();
        open.sort_unstable();
        open
    }

    /// Closes the numbers that do not pass execve.
    pub fn exec(&mut self) {
        self.numbers
            .values_mut()
            .filter(|number| number.is_some_and(|n| n.is_cloexec))
            .for_each(|number| *number = None);
    }
}

/// A child that was forked.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    pub pid: i32,
    pub since_ns: u64,
    /// It lives, and has not executed another program.
    pub has_copy: bool,
}

/// What a process can be asked.
#[derive(Debug)]
pub struct View<'a> {
    pub files: &'a Files,
    pub table: &'a Table,
    pub children: &'a [Child],
    pub threads: u32,
}

impl View<'_> {
    fn file(&self, fd: i32) -> Option<&File> {
        self.files.files.get(self.table.file(fd)?)
    }
}

impl World for View<'_> {
    fn kind(&mut self, fd: i32) -> Kind {
        self.file(fd).map_or(Kind::Unidentified, |file| file.kind)
    }

    fn unread(&mut self, fd: i32, _kind: Kind) -> Option<u64> {
        self.files.unread(self.table.file(fd)?)
    }

    /// Only what is high for certain.
    fn levels(&mut self, fd: i32, bits: u32) -> Option<u32> {
        let unread = self.files.unread(self.table.file(fd)?)?;
        Some(if unread > 0 { bits & INPUT } else { 0 })
    }

    fn is_nonblocking(&mut self, fd: i32) -> Option<bool> {
        self.file(fd)?.is_nonblocking
    }

    fn is_open(&mut self, fd: i32) -> Option<bool> {
        self.table.numbers.get(&fd).map(Option::is_some)
    }

    fn forked_child(&mut self, since_ns: u64) -> Option<i32> {
        self.children.iter().find(|child| child.has_copy && child.since_ns >= since_ns).map(|child| child.pid)
    }

    fn times(&mut self, _tid: i32) -> Option<ThreadTimes> {
        None
    }

    fn threads(&mut self) -> Option<usize> {
        self.files.has_threads.then_some(self.threads as usize)
    }

    fn describe(&mut self, fd: i32, kind: Kind) -> Described {
        self.file(fd).map_or(Described::nothing(), |file| label::describe(&file.label, kind, file.accepted))
    }

    fn found(&mut self, _index: usize, _finding: &Finding) {}
}

/// The kind of a descriptor that a call made.
pub fn made_kind(name: &str, fd: Fd<'_>, text: &str) -> Kind {
    let by_name = match name {
        "pipe" | "pipe2" => Kind::Pipe,
        "epoll_create" | "epoll_create1" => Kind::Epoll,
        "eventfd" | "eventfd2" if text.contains("EFD_SEMAPHORE") => Kind::EventfdSemaphore,
        "eventfd" | "eventfd2" => Kind::Eventfd,
        "timerfd_create" => Kind::Timerfd,
        "signalfd" | "signalfd4" => Kind::Signalfd,
        "inotify_init" | "inotify_init1" => Kind::Inotify,
        "pidfd_open" => Kind::Pidfd,
        "userfaultfd" => Kind::Userfault,
        "io_uring_setup" => Kind::IoUring,
        "mq_open" => Kind::MessageQueue,
        "socket" | "socketpair" => socket_kind(text),
        _ => Kind::Unidentified,
    };
    match by_name {
        Kind::Unidentified => fd.label.map_or(Kind::Unidentified, label::kind),
        kind => kind,
    }
}

fn socket_kind(text: &str) -> Kind {
    let (is_stream, is_datagram) = (text.contains("SOCK_STREAM"), text.contains("SOCK_DGRAM"));
    if text.contains("IPPROTO_MPTCP") {
        Kind::Mptcp
    } else if text.contains("AF_INET") || text.contains("PF_INET") {
        match (is_stream, is_datagram) {
            (true, _) => Kind::Tcp,
            (_, true) => Kind::Udp,
            _ => Kind::Socket,
        }
    } else if text.contains("AF_UNIX") || text.contains("AF_LOCAL") || text.contains("PF_LOCAL") {
        match (is_stream, is_datagram) {
            (true, _) => Kind::UnixStream,
            (_, true) => Kind::UnixDgram,
            _ => Kind::UnixSeqpacket,
        }
    } else if text.contains("AF_NETLINK") {
        Kind::Netlink
    } else {
        Kind::Socket
    }
}
