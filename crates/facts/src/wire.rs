//! Facts as bytes, in the byte order of the machine: the library writes them into a mapped file,
//! which the launcher reads.

use crate::fact::ChaosKind as Kind;
use crate::{Call, Event, Fact, Form, Poller, Reason, SiteId, Stamp, Start};

/// The most events of one record. A report of more is several records, each of which but the last
/// is continued by the next of the same thread.
pub const MOST_EVENTS: usize = 128;

/// The most bytes of a record.
pub const MOST_BYTES: usize = most_bytes(MOST_EVENTS);

/// The most bytes of a record without events.
pub const FIXED: usize = 80;

/// The bytes of an event.
const EVENT: usize = 17;

/// The most bytes of a record with so many events.
pub const fn most_bytes(events: usize) -> usize {
    FIXED + events * EVENT
}

struct Writer<'a> {
    to: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.to[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn byte(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    fn int(&mut self, value: i32) {
        self.bytes(&value.to_ne_bytes());
    }

    fn uint(&mut self, value: u32) {
        self.bytes(&value.to_ne_bytes());
    }

    fn long(&mut self, value: i64) {
        self.bytes(&value.to_ne_bytes());
    }

    fn ulong(&mut self, value: u64) {
        self.bytes(&value.to_ne_bytes());
    }

    fn event(&mut self, event: &Event) {
        self.uint(event.bits);
        self.int(event.fd);
        self.ulong(event.data);
        self.byte(event.reason as u8);
    }
}

/// Writes a fact; returns the number of bytes. At most [`MOST_EVENTS`] events are written.
///
/// # Panics
/// Panics if `to` has fewer than [`FIXED`] bytes, or too few for the events.
pub fn encode(stamp: Stamp, fact: &Fact<'_>, to: &mut [u8]) -> usize {
    let mut w = Writer { to, at: 0 };
    let begin = |w: &mut Writer<'_>, tag: u8| {
        w.byte(tag);
        w.int(stamp.tid);
        w.ulong(stamp.ns);
    };
    match *fact {
        Fact::Start(Start { pid, ppid, is_fork, wall_offset_ns, poller }) => {
            begin(&mut w, 0);
            w.int(pid);
            w.int(ppid);
            w.byte(u8::from(is_fork));
            w.long(wall_offset_ns);
            w.byte(poller as u8);
        }
        Fact::Create { form, fd, flags, began_ns } => {
            begin(&mut w, 1);
            w.byte(form as u8);
            w.int(fd);
            w.int(flags);
            w.ulong(began_ns);
        }
        Fact::Control { epfd, op, fd, events, data, errno, site, began_ns } => {
            begin(&mut w, 2);
            w.int(epfd);
            w.int(op);
            w.int(fd);
            w.uint(events);
            w.ulong(data);
            w.int(errno);
            w.uint(site.0);
            w.ulong(began_ns);
        }
        Fact::Wait { epfd, max, timeout_ns } => {
            begin(&mut w, 3);
            w.int(epfd);
            w.int(max);
            w.long(timeout_ns);
        }
        Fact::Report { form, mask, epfd, max, timeout_ns, began_ns, errno, events } => {
            let events = &events[..events.len().min(MOST_EVENTS)];
            begin(&mut w, 4);
            w.byte(form as u8);
            w.byte(u8::from(mask.is_some()));
            w.ulong(mask.unwrap_or(0));
            w.int(epfd);
            w.int(max);
            w.long(timeout_ns);
            w.ulong(began_ns);
            w.int(errno);
            w.uint(events.len() as u32);
            events.iter().for_each(|event| w.event(event));
        }
        Fact::Call { call, fd, other, asked, answer, flags, began_ns } => {
            begin(&mut w, 5);
            w.byte(call as u8);
            w.int(fd);
            w.int(other);
            w.ulong(asked);
            w.long(answer);
            w.int(flags);
            w.ulong(began_ns);
        }
        Fact::Close { fd } => {
            begin(&mut w, 6);
            w.int(fd);
        }
        Fact::Dup { from, to } => {
            begin(&mut w, 7);
            w.int(from);
            w.int(to);
        }
        Fact::Fork { child } => {
            begin(&mut w, 8);
            w.int(child);
        }
        Fact::Exec => begin(&mut w, 9),
        Fact::Exit { status } => {
            begin(&mut w, 10);
            w.int(status);
        }
        Fact::Look { epfd, fd, levels, unread, is_after } => {
            begin(&mut w, 11);
            w.int(epfd);
            w.int(fd);
            w.uint(levels);
            w.long(unread);
            w.byte(u8::from(is_after));
        }
        Fact::Chaos { kind, epfd, fd, ordinal, amount } => {
            begin(&mut w, 12);
            w.byte(kind as u8);
            w.int(epfd);
            w.int(fd);
            w.ulong(ordinal);
            w.long(amount);
        }
        Fact::TlsRead { fd, pending, began_ns } => {
            begin(&mut w, 13);
            w.int(fd);
            w.ulong(pending);
            w.ulong(began_ns);
        }
    }
    w.at
}

struct Reader<'a> {
    from: &'a [u8],
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.from.split_first_chunk::<N>()?;
        self.from = rest;
        Some(*first)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn int(&mut self) -> Option<i32> {
        self.array().map(i32::from_ne_bytes)
    }

    fn uint(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    fn long(&mut self) -> Option<i64> {
        self.array().map(i64::from_ne_bytes)
    }

    fn ulong(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    fn event(&mut self) -> Option<Event> {
        Some(Event { bits: self.uint()?, fd: self.int()?, data: self.ulong()?, reason: reason(self.byte()?)? })
    }
}

const REASONS: [Reason; 7] =
    [Reason::Unknown, Reason::Level, Reason::Control, Reason::Low, Reason::Call, Reason::Count, Reason::Ring];

fn reason(number: u8) -> Option<Reason> {
    REASONS.get(usize::from(number)).copied()
}

const FORMS: [Form; 5] = [Form::EpollCreate, Form::EpollCreate1, Form::EpollWait, Form::EpollPwait, Form::EpollPwait2];

fn form(number: u8) -> Option<Form> {
    FORMS.get(usize::from(number)).copied()
}

const POLLERS: [Poller; 3] = [Poller::Kernel, Poller::Library, Poller::Traced];

const KINDS: [Kind; 13] = [
    Kind::Few,
    Kind::Many,
    Kind::Shuffle,
    Kind::Eintr,
    Kind::Late,
    Kind::Delay,
    Kind::Again,
    Kind::CloseParts,
    Kind::Other,
    Kind::Vain,
    Kind::Short,
    Kind::Small,
    Kind::Fault,
];

/// Reads a fact. `events` takes the events of a report. `None` for bytes that [`encode`] did not
/// write.
pub fn decode<'a>(from: &[u8], events: &'a mut [Event; MOST_EVENTS]) -> Option<(Stamp, Fact<'a>)> {
    let mut r = Reader { from };
    let tag = r.byte()?;
    let stamp = Stamp { tid: r.int()?, ns: r.ulong()? };
    let fact = match tag {
        0 => Fact::Start(Start {
            pid: r.int()?,
            ppid: r.int()?,
            is_fork: r.byte()? != 0,
            wall_offset_ns: r.long()?,
            poller: *POLLERS.get(usize::from(r.byte()?))?,
        }),
        1 => Fact::Create { form: form(r.byte()?)?, fd: r.int()?, flags: r.int()?, began_ns: r.ulong()? },
        2 => Fact::Control {
            epfd: r.int()?,
            op: r.int()?,
            fd: r.int()?,
            events: r.uint()?,
            data: r.ulong()?,
            errno: r.int()?,
            site: SiteId(r.uint()?),
            began_ns: r.ulong()?,
        },
        3 => Fact::Wait { epfd: r.int()?, max: r.int()?, timeout_ns: r.long()? },
        4 => {
            let form = form(r.byte()?)?;
            let (has_mask, mask) = (r.byte()? != 0, r.ulong()?);
            let mask = has_mask.then_some(mask);
            let (epfd, max, timeout_ns, began_ns, errno) = (r.int()?, r.int()?, r.long()?, r.ulong()?, r.int()?);
            let n = r.uint()? as usize;
            for event in events.get_mut(..n)? {
                *event = r.event()?;
            }
            Fact::Report { form, mask, epfd, max, timeout_ns, began_ns, errno, events: &events[..n] }
        }
        5 => Fact::Call {
            call: *Call::ALL.get(usize::from(r.byte()?))?,
            fd: r.int()?,
            other: r.int()?,
            asked: r.ulong()?,
            answer: r.long()?,
            flags: r.int()?,
            began_ns: r.ulong()?,
        },
        6 => Fact::Close { fd: r.int()? },
        7 => Fact::Dup { from: r.int()?, to: r.int()? },
        8 => Fact::Fork { child: r.int()? },
        9 => Fact::Exec,
        10 => Fact::Exit { status: r.int()? },
        11 => {
            Fact::Look { epfd: r.int()?, fd: r.int()?, levels: r.uint()?, unread: r.long()?, is_after: r.byte()? != 0 }
        }
        12 => Fact::Chaos {
            kind: *KINDS.get(usize::from(r.byte()?))?,
            epfd: r.int()?,
            fd: r.int()?,
            ordinal: r.ulong()?,
            amount: r.long()?,
        },
        13 => Fact::TlsRead { fd: r.int()?, pending: r.ulong()?, began_ns: r.ulong()? },
        _ => return None,
    };
    Some((stamp, fact))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NO_FD;

    fn returns(fact: Fact<'_>) {
        let stamp = Stamp { ns: u64::MAX - 1, tid: 77 };
        let mut bytes = [0; MOST_BYTES];
        let n = encode(stamp, &fact, &mut bytes);
        let mut events = [Event::default(); MOST_EVENTS];
        assert_eq!(decode(&bytes[..n], &mut events), Some((stamp, fact)));
        for cut in 0..n {
            assert_eq!(decode(&bytes[..cut], &mut [Event::default(); MOST_EVENTS]), None);
        }
    }

    #[test]
    fn a_decoded_fact_is_the_encoded_one_and_a_truncated_one_is_refused() {
        let start = Start { pid: 1, ppid: 2, is_fork: true, wall_offset_ns: -3, poller: Poller::Library };
        returns(Fact::Start(start));
        returns(Fact::Create { form: Form::EpollCreate1, fd: -24, flags: 1, began_ns: 2 });
        let (data, site) = (u64::MAX, SiteId(9));
        returns(Fact::Control { epfd: 3, op: 1, fd: 4, events: 1 << 31, data, errno: 17, site, began_ns: 1 });
        returns(Fact::Wait { epfd: 3, max: 64, timeout_ns: -1 });
        let event = Event { bits: 1, fd: NO_FD, data: 5, reason: Reason::Ring };
        for n in [0, 1, MOST_EVENTS] {
            let events = &[event; MOST_EVENTS][..n];
            let (form, mask) = (Form::EpollPwait, Some(n as u64));
            returns(Fact::Report { form, mask, epfd: 3, max: 64, timeout_ns: 0, began_ns: 1, errno: 0, events });
        }
        for call in Call::ALL {
            returns(Fact::Call { call, fd: 1, other: NO_FD, asked: 2, answer: -11, flags: 64, began_ns: 1 });
        }
        returns(Fact::TlsRead { fd: 7, pending: 576, began_ns: 1 });
        returns(Fact::Close { fd: 7 });
        returns(Fact::Dup { from: 7, to: 8 });
        returns(Fact::Fork { child: 9 });
        returns(Fact::Exec);
        returns(Fact::Exit { status: 1 });
        returns(Fact::Look { epfd: 3, fd: 4, levels: 1, unread: -1, is_after: true });
        for kind in KINDS {
            returns(Fact::Chaos { kind, epfd: 3, fd: 4, ordinal: 5, amount: -6 });
        }
    }
}
