//! What -y and -yy say about a descriptor: `TCP:[127.0.0.1:80->127.0.0.1:4711]`,
//! `anon_inode:[eventpoll]`, `/dev/pts/3<char 136:3>`.

use epolyfill_audit::Described;
use epolyfill_facts::Kind;
use std::fmt::Write;

/// The kind that a description names.
pub fn kind(label: &str) -> Kind {
    if let Some(name) = label.strip_prefix("anon_inode:") {
        return match name.trim_matches(['[', ']']) {
            "eventpoll" => Kind::Epoll,
            "eventfd" => Kind::Eventfd,
            "timerfd" => Kind::Timerfd,
            "signalfd" => Kind::Signalfd,
            "inotify" => Kind::Inotify,
            "pidfd" => Kind::Pidfd,
            "io_uring" => Kind::IoUring,
            "userfaultfd" => Kind::Userfault,
            _ => Kind::Other,
        };
    }
    if label.starts_with('/') {
        let is_terminal = ["<char 136:", "<char 5:", "<char 4:"].iter().any(|device| label.contains(device))
            || label.starts_with("/dev/pts/")
            || label.starts_with("/dev/tty");
        return if is_terminal { Kind::Tty } else { Kind::Other };
    }
    match label.split_once(':').map(|(word, _)| word) {
        Some("pipe") => Kind::Pipe,
        Some("TCP" | "TCPv6") => Kind::Tcp,
        Some("UDP" | "UDPv6" | "UDPLITE" | "UDPLITEv6") => Kind::Udp,
        Some("UNIX-STREAM") => Kind::UnixStream,
        Some("UNIX-DGRAM") => Kind::UnixDgram,
        Some("UNIX-SEQPACKET") => Kind::UnixSeqpacket,
        Some("NETLINK") => Kind::Netlink,
        Some("socket") => Kind::Unidentified,
        Some("pid") => Kind::Pidfd,
        _ => Kind::Other,
    }
}

/// The inner part of `WORD:[...]`.
fn inner(label: &str) -> &str {
    let inner = label.split_once(":[").map_or("", |(_, rest)| rest);
    inner.strip_suffix(']').unwrap_or(inner)
}

/// What identifies the file among others of its kind, if the description has that: an inode, or a
/// pair of addresses.
pub fn identity(label: &str) -> Option<&str> {
    match kind(label) {
        Kind::Pipe | Kind::Unidentified => Some(inner(label)),
        Kind::UnixStream | Kind::UnixDgram | Kind::UnixSeqpacket => {
            Some(inner(label).split(['-', ',']).next().unwrap_or_default())
        }
        Kind::Tcp | Kind::Udp => Some(inner(label)).filter(|inner| inner.contains("->")),
        _ => None,
    }
    .filter(|identity| !identity.is_empty())
}

/// Whether two descriptions cannot be of one file.
pub fn differ(one: &str, other: &str) -> bool {
    if one == other {
        return false;
    }
    let word = |label: &'_ str| -> bool { label.starts_with("socket:") };
    if kind(one) != kind(other) {
        // -y and -yy name the same socket differently, but not within a trace.
        return !word(one) && !word(other);
    }
    matches!((identity(one), identity(other)), (Some(one), Some(other)) if one != other)
}

/// The word of a kind.
fn word(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Epoll => "epoll instance",
        Kind::Pipe | Kind::Fifo => "pipe",
        Kind::Tcp => "tcp",
        Kind::TcpListener => "tcp listener",
        Kind::Udp => "udp",
        Kind::UnixStream => "unix stream",
        Kind::UnixListener => "unix listener",
        Kind::UnixDgram => "unix datagram",
        Kind::UnixSeqpacket => "unix seqpacket",
        Kind::Eventfd | Kind::EventfdSemaphore => "eventfd",
        Kind::Timerfd => "timerfd",
        Kind::Signalfd => "signalfd",
        Kind::Inotify => "inotify",
        Kind::Pidfd => "pidfd",
        Kind::Tty => "terminal",
        Kind::Netlink => "netlink",
        Kind::IoUring => "io_uring",
        _ => return None,
    })
}

/// The words for a file. `accepted` is whether it came from accept, if that is known.
pub fn describe(label: &str, kind: Kind, accepted: Option<bool>) -> Described {
    let mut words = Described::nothing();
    let arrow = match accepted {
        Some(true) => "<-",
        Some(false) => "->",
        None => "<->",
    };
    let is_named = label.starts_with('/');
    let path = label.split('<').next().unwrap_or_default();
    // A description of too many bytes is cut off, not refused.
    let _ = match (word(kind), kind, inner(label).split_once("->")) {
        (Some(word), Kind::Tcp | Kind::Udp, Some((local, peer))) => write!(words, "{word} {local} {arrow} {peer}"),
        (Some(word), Kind::Tcp | Kind::TcpListener | Kind::Udp, None) if inner(label).contains(':') => {
            write!(words, "{word} {}", inner(label))
        }
        (Some(word), Kind::Tty, _) if is_named => write!(words, "{word} {path}"),
        (Some(word), ..) => write!(words, "{word}"),
        (None, ..) if is_named => write!(words, "{path}"),
        (None, ..) => Ok(()),
    };
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_identities_and_words_come_from_the_description() {
        let tcp = "TCP:[127.0.0.1:80->127.0.0.1:4711]";
        for (label, expected, identified, words) in [
            (tcp, Kind::Tcp, true, "tcp 127.0.0.1:80 <- 127.0.0.1:4711"),
            ("TCPv6:[[::1]:80->[::1]:4711]", Kind::Tcp, true, "tcp [::1]:80 <- [::1]:4711"),
            ("TCP:[0.0.0.0:80]", Kind::Tcp, false, "tcp 0.0.0.0:80"),
            ("TCP:[12345]", Kind::Tcp, false, "tcp"),
            ("UNIX-STREAM:[1->2]", Kind::UnixStream, true, "unix stream"),
            ("UNIX-STREAM:[1,\"/run/x\"]", Kind::UnixStream, true, "unix stream"),
            ("anon_inode:[eventpoll]", Kind::Epoll, false, "epoll instance"),
            ("anon_inode:inotify", Kind::Inotify, false, "inotify"),
            ("pipe:[77]", Kind::Pipe, true, "pipe"),
            ("/dev/pts/3<char 136:3>", Kind::Tty, false, "terminal /dev/pts/3"),
            ("/dev/null<char 1:3>", Kind::Other, false, "/dev/null"),
            ("", Kind::Other, false, ""),
        ] {
            assert_eq!(kind(label), expected, "{label}");
            assert_eq!(identity(label).is_some(), identified, "{label}");
            assert_eq!(describe(label, expected, Some(true)).text(), words);
        }
        assert!(differ(tcp, "TCP:[127.0.0.1:80->127.0.0.1:4712]") && differ(tcp, "pipe:[1]"));
        assert!(!differ(tcp, "TCP:[12345]") && !differ("UNIX-STREAM:[1]", "UNIX-STREAM:[1->2]"));
    }
}
