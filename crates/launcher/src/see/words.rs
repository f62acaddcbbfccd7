//! Numbers in words: bits of events, errors, operations, durations, sizes.

use nix::errno::Errno;

const BITS: [(i32, &str); 13] = [
    (libc::EPOLLIN, "IN"),
    (libc::EPOLLOUT, "OUT"),
    (libc::EPOLLPRI, "PRI"),
    (libc::EPOLLRDHUP, "RDHUP"),
    (libc::EPOLLHUP, "HUP"),
    (libc::EPOLLERR, "ERR"),
    (libc::EPOLLRDNORM, "RDNORM"),
    (libc::EPOLLWRNORM, "WRNORM"),
    (libc::EPOLLRDBAND, "RDBAND"),
    (libc::EPOLLWRBAND, "WRBAND"),
    (libc::EPOLLET, "ET"),
    (libc::EPOLLONESHOT, "ONESHOT"),
    (libc::EPOLLEXCLUSIVE, "EXCLUSIVE"),
];

/// The names of the bits without EPOLL: "IN|ET".
pub fn bits(mask: u32) -> String {
    let names: Vec<&str> = BITS.iter().filter(|(bit, _)| mask & *bit as u32 != 0).map(|(_, name)| *name).collect();
    if names.is_empty() { "0".to_owned() } else { names.join("|") }
}

/// The names of bits: "EPOLLIN|EPOLLHUP".
pub fn epoll_bits(mask: u32) -> String {
    match mask {
        0 => "no event".to_owned(),
        mask => bits(mask).split('|').map(|name| format!("EPOLL{name}")).collect::<Vec<_>>().join("|"),
    }
}

/// The name of an errno.
pub fn errno(number: i64) -> String {
    let known = i32::try_from(number).ok().map(Errno::from_raw).filter(|errno| *errno != Errno::UnknownErrno);
    known.map_or(format!("errno {number}"), |errno| format!("{errno:?}"))
}

/// The name of an operation of epoll_ctl.
pub fn op(number: i32) -> &'static str {
    match number {
        libc::EPOLL_CTL_ADD => "ADD",
        libc::EPOLL_CTL_DEL => "DEL",
        libc::EPOLL_CTL_MOD => "MOD",
        _ => "unknown",
    }
}

/// A duration with three digits and its unit.
pub fn duration(ns: u64) -> String {
    let (value, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let decimals = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.decimals$} {unit}")
}

/// Bytes with three digits and their unit.
pub fn bytes(count: u64) -> String {
    let (value, unit) = match count {
        0..10_000 => return format!("{} B", grouped(count)),
        10_000..1_000_000 => (count as f64 / 1e3, "kB"),
        1_000_000..1_000_000_000 => (count as f64 / 1e6, "MB"),
        _ => (count as f64 / 1e9, "GB"),
    };
    let decimals = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.decimals$} {unit}")
}

/// A number with its thousands apart: "51,204".
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun: "1 fault", "3 faults".
pub fn counted(number: u64, noun: &str) -> String {
    let plural = match noun {
        noun if number == 1 => noun.to_owned(),
        noun if noun.ends_with("ss") => format!("{noun}es"),
        noun if noun.ends_with("ry") => format!("{}ies", &noun[..noun.len() - 1]),
        noun => format!("{noun}s"),
    };
    format!("{} {plural}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_units() {
        assert_eq!(duration(301_800_000), "302 ms");
        assert_eq!(duration(12_340), "12.3 µs");
        assert_eq!(bytes(9_999), "9,999 B");
        assert_eq!(bytes(3_000_000), "3.00 MB");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(2, "process"), "2 processes");
        assert_eq!(counted(1, "fault"), "1 fault");
        assert_eq!(bits(libc::EPOLLIN as u32 | libc::EPOLLET as u32), "IN|ET");
        assert_eq!(bits(0), "0");
        assert_eq!(errno(11), "EAGAIN");
    }
}
