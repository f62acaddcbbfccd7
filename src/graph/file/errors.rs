//! A socket's error queue: ICMP errors, timestamps of sent packets, notifications of zero-copy
//! writes. Each entry that is queued wakes all waiters, but the level stays EPOLLERR as long as the
//! queue is not empty. For UDP sockets, and others that are counted by memory, entries are counted
//! together with datagrams; for TCP connections an entry shows as memory that grows while no bytes
//! come or go. Kernel counterpart: `sk_error_queue`.

use super::{File, Tcp};
use crate::kind::Kind;
use crate::sync::atomic::Ordering::SeqCst;

/// Set if the memory of this TCP connection is followed.
const FOLLOWED: u32 = 1 << 31;
/// The bits below it: the number of arrivals found in the queue; the sum of the bytes received and
/// sent, modulo a prime; the memory in use.
const FOUND: u32 = 28;
const FLOW: u32 = 20;
/// The sizes of buffers are multiples of this.
const GRAIN: u32 = 64;

/// The view of a socket that is counted by memory. The word `state` is the memory of all entries
/// that were taken from its error queue.
#[derive(Clone, Copy, Debug)]
pub struct ByMemory<'a>(&'a File);

impl File {
    /// The file as a socket that is counted by memory, if it is one.
    pub fn by_memory(&self) -> Option<ByMemory<'_>> {
        matches!(self.kind(), Kind::Udp | Kind::Socket).then_some(ByMemory(self))
    }
}

impl ByMemory<'_> {
    /// The memory of all entries that were taken from the error queue.
    pub fn errors_taken(self) -> u32 {
        self.0.state.load(SeqCst)
    }

    /// Records that an entry with this memory was taken from the error queue. `None` if the memory
    /// is unknown, because something else arrived meanwhile.
    pub fn take_errors(self, memory: Option<u32>) {
        self.0.state.fetch_add(memory.unwrap_or(1), SeqCst);
    }
}

impl Tcp<'_> {
    /// Whether the error queue is not empty, as far as known.
    #[inline]
    pub fn follows_errors(self) -> bool {
        self.0.state.load(SeqCst) & FOLLOWED != 0
    }

    /// Records whether the error queue is not empty, as a report shows it.
    pub fn follow_errors(self, any: bool) {
        match self.follows_errors() {
            true if !any => self.0.state.fetch_and(!FOLLOWED, SeqCst),
            false if any => self.0.state.fetch_or(FOLLOWED, SeqCst),
            _ => 0,
        };
    }

    /// A number that changes whenever an arrival in the error queue is found.
    #[doc(alias = "sk_error_queue")]
    pub fn errors_found(self) -> u8 {
        ((self.0.state.load(SeqCst) & !FOLLOWED) >> FOUND) as u8
    }

    /// Records the memory in use after `flow` bytes were received and sent.
    pub fn note_error_memory(self, memory: u32, flow: u64) {
        /// A prime, because byte counts are often multiples of a power of two.
        const SUMS: u64 = 251;
        const MOST: u32 = (1 << FLOW) - 1;
        let (flow, memory) = ((flow % SUMS) as u32, memory.div_ceil(GRAIN).min(MOST));
        let noted = |word: u32| {
            let came = (word >> FLOW) & 0xff == flow && memory > word & MOST;
            let found = ((word >> FOUND) + u32::from(came)) & 7;
            Some(word & FOLLOWED | found << FOUND | flow << FLOW | memory)
        };
        let _ = self.0.state.fetch_update(SeqCst, SeqCst, noted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::file::File;

    #[test]
    fn memory_that_grows_while_no_bytes_come_or_go_is_an_error_that_came() {
        let stream = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| std::net::TcpStream::connect(listener.local_addr()?));
        let stream = stream.expect("a connection");
        let file = File::create().expect("memory");
        assert_eq!(file.identify(std::os::fd::AsRawFd::as_raw_fd(&stream)), Kind::Tcp);
        let tcp = file.tcp().expect("it is one");
        tcp.follow_errors(true);
        tcp.note_error_memory(832, 10);
        let found = tcp.errors_found();
        tcp.note_error_memory(832, 10);
        assert_eq!(tcp.errors_found(), found);
        tcp.note_error_memory(2 * 832, 10);
        assert_eq!(tcp.errors_found(), found + 1);
        tcp.note_error_memory(832, 10);
        tcp.note_error_memory(3 * 832, 12);
        assert_eq!(tcp.errors_found(), found + 1, "bytes came");
        assert!(tcp.follows_errors());
        tcp.follow_errors(false);
        assert!(!tcp.follows_errors());
        assert_eq!(tcp.errors_found(), found + 1);
        file.retire();
    }
}
