//! The queue of errors beside a socket's data: ICMP errors, timestamps of what was sent, notices
//! about zero-copy writes. Whatever comes to it wakes everybody, and while something is in it the
//! level is the same. Of a UDP socket, and of others that are counted by memory, it is counted with
//! the datagrams; of a TCP connection by what memory is in use while no bytes come or go. Kernel
//! counterpart: `sk_error_queue`.

use super::File;
use crate::kind::Kind;
use crate::sync::atomic::Ordering::SeqCst;

/// The memory of a TCP connection is looked at.
const FOLLOWED: u32 = 1 << 31;
/// Below it, how often something was found to have come; then a sum over the bytes that came and
/// went, and the memory in use.
const FOUND: u32 = 28;
const FLOW: u32 = 20;
/// What a buffer takes is a multiple of this.
const GRAIN: u32 = 64;

impl File {
    /// Of a socket whose memory is counted: the memory of all that was taken from its queue of
    /// errors.
    pub fn errors_taken(&self) -> u32 {
        if matches!(self.kind(), Kind::Udp | Kind::Socket) { self.outgoing.load(SeqCst) } else { 0 }
    }

    /// Something was taken from the queue of errors, whose memory that was. Without any, something
    /// else came meanwhile.
    pub fn take_errors(&self, memory: Option<u32>) {
        if matches!(self.kind(), Kind::Udp | Kind::Socket) {
            self.outgoing.fetch_add(memory.unwrap_or(1), SeqCst);
        }
    }

    /// Of a TCP connection: whether something is in its queue of errors, as far as known.
    #[inline]
    pub fn follows_errors(&self) -> bool {
        self.kind() == Kind::Tcp && self.outgoing.load(SeqCst) & FOLLOWED != 0
    }

    /// A report of a TCP connection shows that something is in the queue, or that nothing is.
    pub fn follow_errors(&self, any: bool) {
        match self.follows_errors() {
            true if !any => self.outgoing.fetch_and(!FOLLOWED, SeqCst),
            false if any && self.kind() == Kind::Tcp => self.outgoing.fetch_or(FOLLOWED, SeqCst),
            _ => 0,
        };
    }

    /// A number that changes when something is found to have come to the queue of errors of a TCP
    /// connection.
    pub fn errors_found(&self) -> u8 {
        if self.kind() == Kind::Tcp { ((self.outgoing.load(SeqCst) & !FOLLOWED) >> FOUND) as u8 } else { 0 }
    }

    /// The memory in use, when so many bytes had come and gone.
    pub fn note_error_memory(&self, memory: u32, flow: u64) {
        /// A prime, because what comes and goes is often a multiple of a power of two.
        const SUMS: u64 = 251;
        const MOST: u32 = (1 << FLOW) - 1;
        let (flow, memory) = ((flow % SUMS) as u32, memory.div_ceil(GRAIN).min(MOST));
        let noted = |word: u32| {
            let came = (word >> FLOW) & 0xff == flow && memory > word & MOST;
            let found = ((word >> FOUND) + u32::from(came)) & 7;
            Some(word & FOLLOWED | found << FOUND | flow << FLOW | memory)
        };
        let _ = self.outgoing.fetch_update(SeqCst, SeqCst, noted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::File;

    #[test]
    fn memory_that_grows_while_no_bytes_come_or_go_is_an_error_that_came() {
        let stream = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| std::net::TcpStream::connect(listener.local_addr()?));
        let stream = stream.expect("a connection");
        let file = File::create().expect("memory");
        assert_eq!(file.identify(std::os::fd::AsRawFd::as_raw_fd(&stream)), Kind::Tcp);
        file.follow_errors(true);
        file.note_error_memory(832, 10);
        let found = file.errors_found();
        file.note_error_memory(832, 10);
        assert_eq!(file.errors_found(), found);
        file.note_error_memory(2 * 832, 10);
        assert_eq!(file.errors_found(), found + 1);
        file.note_error_memory(832, 10);
        file.note_error_memory(3 * 832, 12);
        assert_eq!(file.errors_found(), found + 1, "bytes came");
        assert!(file.follows_errors());
        file.follow_errors(false);
        assert!(!file.follows_errors());
        assert_eq!(file.errors_found(), found + 1);
        file.retire();
    }
}
