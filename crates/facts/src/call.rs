//! Calls on descriptors, beside those of epoll.

use crate::flags::{MSG_ERRQUEUE, MSG_OOB, MSG_PEEK};

/// A call on a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // Each is the system call of that name.
pub enum Call {
    Read,
    Readv,
    Preadv2,
    Recvfrom,
    Recvmsg,
    Recvmmsg,
    Write,
    Writev,
    Pwritev2,
    Sendto,
    Sendmsg,
    Sendmmsg,
    /// `fd` is the sink, `other` the file.
    Sendfile,
    /// `fd` is the source, `other` the sink.
    Splice,
    /// `fd` is the source, `other` the sink.
    Tee,
    Vmsplice,
    Accept,
    Connect,
    Listen,
    Shutdown,
    /// Only SO_ERROR.
    Getsockopt,
    Setsockopt,
    Ioctl,
    TimerfdSettime,
    Signalfd,
    MqReceive,
    MqSend,
    IoSubmit,
}

/// The effect of a call on the readiness of its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It takes data.
    Read,
    /// It takes a connection.
    Accept,
    /// It adds data.
    Write,
    /// It ends a side of a connection.
    Shutdown,
    /// It sets a timer.
    SetTimer,
    /// It moves data from `fd` to `other`.
    Move,
    /// It does something else.
    Other,
}

impl Call {
    /// All of them, in the order of their numbers.
    pub const ALL: [Call; 28] = [
        Call::Read,
        Call::Readv,
        Call::Preadv2,
        Call::Recvfrom,
        Call::Recvmsg,
        Call::Recvmmsg,
        Call::Write,
        Call::Writev,
        Call::Pwritev2,
        Call::Sendto,
        Call::Sendmsg,
        Call::Sendmmsg,
        Call::Sendfile,
        Call::Splice,
        Call::Tee,
        Call::Vmsplice,
        Call::Accept,
        Call::Connect,
        Call::Listen,
        Call::Shutdown,
        Call::Getsockopt,
        Call::Setsockopt,
        Call::Ioctl,
        Call::TimerfdSettime,
        Call::Signalfd,
        Call::MqReceive,
        Call::MqSend,
        Call::IoSubmit,
    ];

    /// The name of the system call.
    pub const fn name(self) -> &'static str {
        match self {
            Call::Read => "read",
            Call::Readv => "readv",
            Call::Preadv2 => "preadv2",
            Call::Recvfrom => "recvfrom",
            Call::Recvmsg => "recvmsg",
            Call::Recvmmsg => "recvmmsg",
            Call::Write => "write",
            Call::Writev => "writev",
            Call::Pwritev2 => "pwritev2",
            Call::Sendto => "sendto",
            Call::Sendmsg => "sendmsg",
            Call::Sendmmsg => "sendmmsg",
            Call::Sendfile => "sendfile",
            Call::Splice => "splice",
            Call::Tee => "tee",
            Call::Vmsplice => "vmsplice",
            Call::Accept => "accept",
            Call::Connect => "connect",
            Call::Listen => "listen",
            Call::Shutdown => "shutdown",
            Call::Getsockopt => "getsockopt",
            Call::Setsockopt => "setsockopt",
            Call::Ioctl => "ioctl",
            Call::TimerfdSettime => "timerfd_settime",
            Call::Signalfd => "signalfd4",
            Call::MqReceive => "mq_timedreceive",
            Call::MqSend => "mq_timedsend",
            Call::IoSubmit => "io_submit",
        }
    }

    /// The class of the call.
    pub const fn class(self) -> Class {
        match self {
            Call::Read
            | Call::Readv
            | Call::Preadv2
            | Call::Recvfrom
            | Call::Recvmsg
            | Call::Recvmmsg
            | Call::MqReceive => Class::Read,
            Call::Write
            | Call::Writev
            | Call::Pwritev2
            | Call::Sendto
            | Call::Sendmsg
            | Call::Sendmmsg
            | Call::Sendfile
            | Call::Vmsplice
            | Call::MqSend => Class::Write,
            Call::Splice | Call::Tee => Class::Move,
            Call::Accept => Class::Accept,
            Call::Shutdown => Class::Shutdown,
            Call::TimerfdSettime => Class::SetTimer,
            Call::Connect
            | Call::Listen
            | Call::Getsockopt
            | Call::Setsockopt
            | Call::Ioctl
            | Call::Signalfd
            | Call::IoSubmit => Class::Other,
        }
    }
}

impl Call {
    /// The MSG_* flags; 0 if the call has none.
    pub const fn message_flags(self, flags: i32) -> i32 {
        match self {
            Call::Recvfrom | Call::Recvmsg | Call::Recvmmsg | Call::Sendto | Call::Sendmsg | Call::Sendmmsg => flags,
            _ => 0,
        }
    }

    /// Whether the call takes its answer from the file's data.
    pub const fn takes(self, flags: i32) -> bool {
        const ELSEWHERE: i32 = MSG_OOB | MSG_PEEK | MSG_ERRQUEUE;
        match self.class() {
            Class::Read => self.message_flags(flags) & ELSEWHERE == 0,
            _ => matches!(self, Call::Splice),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_numbers() {
        for (at, call) in Call::ALL.into_iter().enumerate() {
            assert_eq!(call as usize, at);
        }
    }
}
