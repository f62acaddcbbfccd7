//! The names that strace writes for numbers.

/// Names with their numbers.
pub type Table = &'static [(&'static str, u64)];

pub const EPOLL: Table = &[
    ("EPOLLIN", 0x1),
    ("EPOLLPRI", 0x2),
    ("EPOLLOUT", 0x4),
    ("EPOLLERR", 0x8),
    ("EPOLLHUP", 0x10),
    ("EPOLLNVAL", 0x20),
    ("EPOLLRDNORM", 0x40),
    ("EPOLLRDBAND", 0x80),
    ("EPOLLWRNORM", 0x100),
    ("EPOLLWRBAND", 0x200),
    ("EPOLLMSG", 0x400),
    ("EPOLLRDHUP", 0x2000),
    ("EPOLLEXCLUSIVE", 1 << 28),
    ("EPOLLWAKEUP", 1 << 29),
    ("EPOLLONESHOT", 1 << 30),
    ("EPOLLET", 1 << 31),
];

pub const MSG_DONTWAIT: u64 = 0x40;
pub const MSG_PEEK: u64 = 2;

pub const MSG: Table = &[
    ("MSG_OOB", 1),
    ("MSG_PEEK", MSG_PEEK),
    ("MSG_DONTROUTE", 4),
    ("MSG_CTRUNC", 8),
    ("MSG_TRUNC", 0x20),
    ("MSG_DONTWAIT", MSG_DONTWAIT),
    ("MSG_EOR", 0x80),
    ("MSG_WAITALL", 0x100),
    ("MSG_CONFIRM", 0x800),
    ("MSG_ERRQUEUE", 0x2000),
    ("MSG_NOSIGNAL", 0x4000),
    ("MSG_MORE", 0x8000),
    ("MSG_WAITFORONE", 0x10000),
    ("MSG_ZEROCOPY", 0x0400_0000),
    ("MSG_FASTOPEN", 0x2000_0000),
    ("MSG_CMSG_CLOEXEC", 0x4000_0000),
];

pub const SPLICE: Table = &[("SPLICE_F_MOVE", 1), ("SPLICE_F_NONBLOCK", 2), ("SPLICE_F_MORE", 4), ("SPLICE_F_GIFT", 8)];

/// The operations of `epoll_ctl`.
pub fn op(text: &str) -> Option<i32> {
    match text {
        "EPOLL_CTL_ADD" => Some(1),
        "EPOLL_CTL_DEL" => Some(2),
        "EPOLL_CTL_MOD" => Some(3),
        other => super::args::int(other).and_then(|op| i32::try_from(op).ok()),
    }
}

/// The side of `shutdown`.
pub fn side(text: &str) -> Option<i32> {
    match text {
        "SHUT_RD" | "0 /* receive */" => Some(0),
        "SHUT_WR" => Some(1),
        "SHUT_RDWR" => Some(2),
        other => super::args::int(other).and_then(|side| i32::try_from(side).ok()),
    }
}

/// The bits of flags, of those that the table has. `None` for text that is not flags.
pub fn flags(text: &str, table: Table) -> Option<u64> {
    let mut bits = 0;
    for name in text.split('|') {
        let name = name.trim();
        let known = table.iter().find(|(known, _)| *known == name).map(|(_, bit)| *bit);
        bits |= match known {
            Some(bit) => bit,
            None if name.starts_with(|c: char| c.is_ascii_digit()) => super::args::int(name)?.cast_unsigned(),
            None if !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') =>
            {
                0
            }
            None => return None,
        };
    }
    Some(bits)
}

/// The errno of a name; 5 (EIO) for one that is not known.
pub fn errno(name: &str) -> i32 {
    ERRNO.iter().find(|(known, _)| *known == name).map_or(5, |(_, errno)| *errno)
}

const ERRNO: &[(&str, i32)] = &[
    ("EAGAIN", 11),
    ("EINTR", 4),
    ("EINPROGRESS", 115),
    ("EPERM", 1),
    ("ENOENT", 2),
    ("ENXIO", 6),
    ("EBADF", 9),
    ("ECHILD", 10),
    ("ENOMEM", 12),
    ("EACCES", 13),
    ("EFAULT", 14),
    ("EBUSY", 16),
    ("EEXIST", 17),
    ("ENODEV", 19),
    ("ENOTDIR", 20),
    ("EISDIR", 21),
    ("EINVAL", 22),
    ("ENFILE", 23),
    ("EMFILE", 24),
    ("ENOTTY", 25),
    ("EFBIG", 27),
    ("ENOSPC", 28),
    ("ESPIPE", 29),
    ("EROFS", 30),
    ("EPIPE", 32),
    ("EDEADLK", 35),
    ("ENOSYS", 38),
    ("ELOOP", 40),
    ("ENODATA", 61),
    ("ETIME", 62),
    ("EPROTO", 71),
    ("EBADMSG", 74),
    ("EOVERFLOW", 75),
    ("EBADFD", 77),
    ("ENOTSOCK", 88),
    ("EDESTADDRREQ", 89),
    ("EMSGSIZE", 90),
    ("EPROTOTYPE", 91),
    ("ENOPROTOOPT", 92),
    ("EPROTONOSUPPORT", 93),
    ("EOPNOTSUPP", 95),
    ("EAFNOSUPPORT", 97),
    ("EADDRINUSE", 98),
    ("EADDRNOTAVAIL", 99),
    ("ENETDOWN", 100),
    ("ENETUNREACH", 101),
    ("ECONNABORTED", 103),
    ("ECONNRESET", 104),
    ("ENOBUFS", 105),
    ("EISCONN", 106),
    ("ENOTCONN", 107),
    ("ETIMEDOUT", 110),
    ("ECONNREFUSED", 111),
    ("EHOSTDOWN", 112),
    ("EHOSTUNREACH", 113),
    ("EALREADY", 114),
    ("ECANCELED", 125),
];
