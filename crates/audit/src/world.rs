//! What the rules may ask beyond the facts.

use crate::finding::{Described, Finding};
use epolyfill_facts::Kind;

/// The processor time of a thread, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadTimes {
    /// Time on a processor.
    pub cpu_ns: u64,
    /// Time in the run queue, ready but without a processor (schedstat).
    pub run_queue_ns: u64,
}

/// A look at a registration that owes a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The instance's descriptor.
    pub epfd: i32,
    /// The descriptor.
    pub fd: i32,
    /// The bytes or connections that wait.
    pub unread: u64,
    /// Whether the sleep has ended.
    pub is_after: bool,
}

/// The process, as far as the rules may ask about it. `None` where it cannot be known, as in the
/// text of a trace; a rule that needs the answer is then silent.
pub trait World {
    /// The kind of the open file description.
    fn kind(&mut self, fd: i32) -> Kind;
    /// Bytes that can be read without waiting; of a listener, connections that wait.
    fn unread(&mut self, fd: i32, kind: Kind) -> Option<u64>;
    /// Which of the EPOLL* bits are high.
    fn levels(&mut self, fd: i32, bits: u32) -> Option<u32>;
    /// Whether O_NONBLOCK is set.
    fn is_nonblocking(&mut self, fd: i32) -> Option<bool>;
    /// Whether the number is open.
    fn is_open(&mut self, fd: i32) -> Option<bool>;
    /// The number of a live child of this process that was forked at or after `since_ns` and has
    /// not executed another program.
    fn forked_child(&mut self, since_ns: u64) -> Option<i32>;
    /// Such a child that has this number open as the same file.
    fn holder(&mut self, _fd: i32, _since_ns: u64) -> Option<i32> {
        None
    }
    /// The parent of this process.
    fn parent(&mut self) -> Option<i32> {
        None
    }
    /// Whether the number is closed when the process executes another program.
    fn closes_on_exec(&mut self, _fd: i32) -> Option<bool> {
        None
    }
    /// Whether that child still runs the program and has the number open. The number may be closed
    /// in this process by now.
    fn still_holds(&mut self, _child: i32, _fd: i32) -> bool {
        false
    }
    /// The processor time of a thread of the process.
    fn times(&mut self, tid: i32) -> Option<ThreadTimes>;
    /// The number of threads of the process.
    fn threads(&mut self) -> Option<usize> {
        None
    }
    /// Whether a thread of the process has ended.
    fn has_ended(&mut self, _tid: i32) -> bool {
        false
    }
    /// Describes a descriptor: kind and both addresses.
    fn describe(&mut self, fd: i32, kind: Kind) -> Described;
    /// Takes a look at a registration that owes a read, at a sleep of its thread or during it.
    fn looked(&mut self, _look: Look) {}
    /// Takes a finding, new or with a higher count. `index` identifies it.
    fn found(&mut self, index: usize, finding: &Finding);
}
