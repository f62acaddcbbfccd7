//! The events of a wait, and their bits in readable form.

use libc::{c_int, epoll_event};

use super::EVERYTHING;
use crate::compare::Report;
use crate::kernel::Answer;
use crate::world::World;

pub(super) struct Events(pub(super) [epoll_event; EVERYTHING]);

impl Events {
    pub(super) const fn new() -> Events {
        Events([epoll_event { events: 0, u64: 0 }; EVERYTHING])
    }

    pub(super) fn reports(&self, answer: Answer) -> Vec<Report> {
        let n = answer.map_or(0, |n| n as usize);
        self.0[..n].iter().map(|event| (event.u64, event.events)).collect()
    }
}

/// The bits of an event, as strace writes them.
pub fn bits(mask: u32) -> String {
    const NAMES: [(c_int, &str); 16] = [
        (libc::EPOLLIN, "IN"),
        (libc::EPOLLPRI, "PRI"),
        (libc::EPOLLOUT, "OUT"),
        (libc::EPOLLERR, "ERR"),
        (libc::EPOLLHUP, "HUP"),
        (libc::EPOLLRDNORM, "RDNORM"),
        (libc::EPOLLRDBAND, "RDBAND"),
        (libc::EPOLLWRNORM, "WRNORM"),
        (libc::EPOLLWRBAND, "WRBAND"),
        (libc::EPOLLMSG, "MSG"),
        (libc::EPOLLRDHUP, "RDHUP"),
        (libc::EPOLLEXCLUSIVE, "EXCLUSIVE"),
        (libc::EPOLLWAKEUP, "WAKEUP"),
        (libc::EPOLLONESHOT, "ONESHOT"),
        (libc::EPOLLET, "ET"),
        (libc::POLLNVAL as c_int, "NVAL"),
    ];
    let mut text = String::new();
    let mut rest = mask;
    for (bit, name) in NAMES {
        if rest & bit.cast_unsigned() != 0 {
            rest &= !bit.cast_unsigned();
            text.push_str(if text.is_empty() { "" } else { "|" });
            text.push_str(name);
        }
    }
    match (text.is_empty(), rest) {
        (true, _) => format!("{mask:#x}"),
        (false, 0) => text,
        (false, _) => format!("{text}|{rest:#x}"),
    }
}

impl World<'_> {
    pub fn describe(&self, answer: Answer, reports: &[Report]) -> String {
        if let Err(errno) = answer {
            return format!("errno {errno}");
        }
        let each = reports.iter().map(|&(data, events)| {
            let registration = self.registrations.iter().rev().find(|registration| registration.data == data);
            let number = registration.map_or(-1, |registration| registration.number);
            format!("{number}:{}", bits(events))
        });
        format!("[{}]", each.collect::<Vec<_>>().join(", "))
    }
}
