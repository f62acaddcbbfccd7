//! What the audit may ask about this process.

use arrayvec::ArrayVec;
use epolyfill_audit::{Described, Finding, Look, ThreadTimes, World};
use epolyfill_facts::Kind;
use libc::c_int;

use super::record::Record;
use super::{children, describe, recorder, ticker};
use crate::graph::file::kind;
use crate::log::Line;
use crate::sys;
use crate::tcp_info;

/// The process, and its record for the findings.
#[derive(Debug)]
pub struct Process<'a> {
    pub record: Option<&'a Record>,
    pub has_found: bool,
    /// The looks at registrations that owe a read; more than these are left out.
    pub looks: ArrayVec<Look, 16>,
}

impl World for Process<'_> {
    fn kind(&mut self, fd: i32) -> Kind {
        kind::identify(fd)
    }

    fn unread(&mut self, fd: i32, kind: Kind) -> Option<u64> {
        match kind {
            Kind::TcpListener => tcp_info::read(fd).map(|info| u64::from(info.tcpi_unacked)),
            Kind::Tcp
            | Kind::Mptcp
            | Kind::UnixStream
            | Kind::UnixSeqpacket
            | Kind::UnixDgram
            | Kind::Udp
            | Kind::Pipe
            | Kind::Fifo
            | Kind::Tty
            | Kind::Inotify => sys::ioctl_int(fd, libc::FIONREAD).ok().and_then(|bytes| u64::try_from(bytes).ok()),
            _ => None,
        }
    }

    fn levels(&mut self, fd: i32, bits: u32) -> Option<u32> {
        Some(u32::from(sys::level(fd, bits as u16)) & bits)
    }

    fn is_nonblocking(&mut self, fd: i32) -> Option<bool> {
        sys::fcntl(fd, libc::F_GETFL, 0).ok().map(|flags| flags & libc::O_NONBLOCK != 0)
    }

    fn is_open(&mut self, fd: i32) -> Option<bool> {
        Some(sys::is_open(fd))
    }

    fn forked_child(&mut self, since_ns: u64) -> Option<i32> {
        children::living(since_ns)
    }

    fn parent(&mut self) -> Option<i32> {
        Some(recorder::parent())
    }

    fn closes_on_exec(&mut self, fd: i32) -> Option<bool> {
        sys::fcntl(fd, libc::F_GETFD, 0).ok().map(|flags| flags & libc::FD_CLOEXEC != 0)
    }

    fn holder(&mut self, fd: i32, since_ns: u64) -> Option<i32> {
        children::holder(fd, since_ns)
    }

    fn still_holds(&mut self, child: i32, fd: i32) -> bool {
        children::still_holds(child, fd)
    }

    fn times(&mut self, tid: i32) -> Option<ThreadTimes> {
        let mut path = Line::<64>::new();
        path.text("/proc/self/task/").number(tid.into()).text("/schedstat\0");
        let mut buffer = [0; 96];
        let text = sys::read_file(path.as_bytes(), &mut buffer).ok()?;
        let mut numbers = std::str::from_utf8(text).ok()?.split_ascii_whitespace().map(str::parse::<u64>);
        let (cpu_ns, run_queue_ns) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(ThreadTimes { cpu_ns, run_queue_ns })
    }

    fn threads(&mut self) -> Option<usize> {
        let mut buffer = [0; 1024];
        let text = sys::read_file(b"/proc/self/stat\0", &mut buffer).ok()?;
        let name = text.iter().rposition(|byte| *byte == b')')?;
        let threads: usize =
            std::str::from_utf8(&text[name + 1..]).ok()?.split_ascii_whitespace().nth(17)?.parse().ok()?;
        Some(threads.saturating_sub(usize::from(ticker::runs())))
    }

    fn has_ended(&mut self, tid: i32) -> bool {
        !sys::is_thread(tid)
    }

    fn describe(&mut self, fd: c_int, kind: Kind) -> Described {
        describe::describe(fd, kind)
    }

    fn looked(&mut self, look: Look) {
        let _ = self.looks.try_push(look);
    }

    fn found(&mut self, index: usize, finding: &Finding) {
        if let Some(record) = self.record {
            record.put_finding(index, finding);
            self.has_found = true;
        }
    }
}
