//! A finding: plain data, which the library writes and the launcher words.

use epolyfill_facts::{Kind, NO_FD, SiteId};

/// The grade of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Grade {
    /// Waste, or style.
    Note,
    /// A pattern that correct programs can show.
    Suspect,
    /// Proved by the facts of this run.
    Fault,
}

impl Grade {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Grade::Note => "note",
            Grade::Suspect => "suspect",
            Grade::Fault => "fault",
        }
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Rule { $($(#[$doc])* $variant,)* }

        impl Rule {
            /// All rules, in the order of their numbers.
            pub const ALL: &'static [Rule] = &[$(Rule::$variant,)*];

            /// Its short name.
            pub const fn name(self) -> &'static str {
                match self { $(Rule::$variant => $name,)* }
            }
        }
    };
}

rules! {
    /// R1: the program slept on unread bytes whose edge it had been given.
    SleptEdge = "slept-edge",
    /// R2: the program slept although the room that it waited for was reported.
    SleptRoom = "slept-room",
    /// R3: a spent EPOLLONESHOT registration was not armed again.
    OneshotAsleep = "oneshot-asleep",
    /// R4: the program slept on bytes that its TLS library had decrypted.
    TlsPending = "tls-pending",
    /// R5: an event of a number that is closed.
    GhostEvent = "ghost-event",
    /// R6: a number was closed while its registration goes on.
    GhostRegistration = "ghost-registration",
    /// R7: a control call hit another file than the program meant.
    WrongNumber = "wrong-number",
    /// R8: the program used a descriptor for an event that its own close had made stale.
    StaleEvent = "stale-event",
    /// R9: waits that return at once for an event that the program leaves as it is.
    Spin = "spin",
    /// R10: waits that fail again and again.
    FailingWait = "failing-wait",
    /// R11: time-outs cut off to whole milliseconds.
    TimeoutTruncated = "timeout-truncated",
    /// R12: a call on a watched descriptor blocked the loop.
    Blocked = "blocked",
    /// R13: a thread was away from its loop while another descriptor was ready.
    SlowHandler = "slow-handler",
    /// R14: one busy descriptor kept the others waiting.
    StarvedBy = "starved-by",
    /// R15: each arrival wakes several waiters, and only one of them finds something.
    Herd = "herd",
    /// R16: two threads read one stream at the same time.
    TwoAtOnce = "two-at-once",
    /// R17: the end of a connection was reported, and nothing followed.
    EndUnheeded = "end-unheeded",
    /// R18: an instance of another process is used.
    ForeignInstance = "foreign-instance",
    /// R19: a wake-up was written to where nothing listens.
    WakeAstray = "wake-astray",
    /// R20: control calls that change nothing, or more than two for an event.
    IdleControl = "idle-control",
    /// R21: of several waiters one gets nearly all exclusive events.
    ExclusiveShare = "exclusive-share",
    /// R22: nearly every wait fills its array.
    FullBatch = "full-batch",
    /// A blocking descriptor is edge-triggered.
    BlockingEdge = "blocking-edge",
    /// A control call failed with EBADF, ENOENT or EEXIST.
    RefusedControl = "refused-control",
    /// The program relies on something that epolyfill does and Linux does not.
    Kinder = "kinder-than-linux",
}

impl Rule {
    /// The rule of that short name.
    pub fn named(name: &str) -> Option<Rule> {
        Rule::ALL.iter().copied().find(|rule| rule.name() == name)
    }
}

/// The most bytes of a [`Described`].
pub const MOST_TEXT: usize = 112;

/// A descriptor in words: its kind and both addresses, "tcp 127.0.0.1:80 <- 127.0.0.1:4711".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    bytes: [u8; MOST_TEXT],
    length: u8,
}

impl Described {
    /// Without words.
    pub const fn nothing() -> Described {
        Described { bytes: [0; MOST_TEXT], length: 0 }
    }

    /// These words; the rest is cut off.
    pub fn new(text: &str) -> Described {
        let mut n = text.len().min(MOST_TEXT);
        while !text.is_char_boundary(n) {
            n -= 1;
        }
        let mut described = Described::nothing();
        described.bytes[..n].copy_from_slice(&text.as_bytes()[..n]);
        described.length = n as u8;
        described
    }

    /// The words.
    pub fn text(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl core::fmt::Write for Described {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let at = usize::from(self.length);
        let mut n = text.len().min(MOST_TEXT - at);
        while !text.is_char_boundary(n) {
            n -= 1;
        }
        self.bytes[at..at + n].copy_from_slice(&text.as_bytes()[..n]);
        self.length += n as u8;
        Ok(())
    }
}

/// A finding. Of the same rule at the same site there is one; later cases add to its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The grade, which can rise.
    pub grade: Grade,
    /// The kind of `fd`.
    pub kind: Kind,
    /// The descriptor.
    pub fd: i32,
    /// A second descriptor, or a process id, by rule; [`NO_FD`] if there is none.
    pub other: i32,
    /// The instance's descriptor.
    pub epfd: i32,
    /// The thread.
    pub tid: i32,
    /// The mask that `fd` was registered with.
    pub events: u32,
    /// The bits that were reported.
    pub bits: u32,
    /// Where `fd` was registered.
    pub site: SiteId,
    /// Where the deed was done, if that is another place.
    pub at: SiteId,
    /// The number of cases.
    pub count: u64,
    /// CLOCK_MONOTONIC of the first case.
    pub first_ns: u64,
    /// CLOCK_MONOTONIC of the last case.
    pub last_ns: u64,
    /// The longest duration, if the rule has durations.
    pub worst_ns: u64,
    /// More figures, by rule; `crates/launcher/src/see/wording.rs` has their meanings.
    pub numbers: [i64; 6],
    /// `fd` in words, as it was at the first case.
    pub who: Described,
    /// `other` in words.
    pub other_who: Described,
}

impl Finding {
    /// A first case without details.
    pub const fn new(rule: Rule, grade: Grade) -> Finding {
        Finding {
            rule,
            grade,
            kind: Kind::Unidentified,
            fd: NO_FD,
            other: NO_FD,
            epfd: NO_FD,
            tid: 0,
            events: 0,
            bits: 0,
            site: SiteId(0),
            at: SiteId(0),
            count: 1,
            first_ns: 0,
            last_ns: 0,
            worst_ns: 0,
            numbers: [0; 6],
            who: Described::nothing(),
            other_who: Described::nothing(),
        }
    }
}

/// The bytes of an encoded finding.
pub const BYTES: usize = 400;

impl Finding {
    /// The finding as bytes, for the record of the process.
    pub fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        put(&[self.rule as u8, self.grade as u8, self.kind as u8, self.who.length, self.other_who.length]);
        for number in [self.fd, self.other, self.epfd, self.tid] {
            put(&number.to_ne_bytes());
        }
        for number in [self.events, self.bits, self.site.0, self.at.0] {
            put(&number.to_ne_bytes());
        }
        for number in [self.count, self.first_ns, self.last_ns, self.worst_ns] {
            put(&number.to_ne_bytes());
        }
        for number in self.numbers {
            put(&number.to_ne_bytes());
        }
        put(&self.who.bytes);
        put(&self.other_who.bytes);
        bytes
    }

    /// The finding of these bytes; `None` if [`Finding::encode`] did not write them.
    pub fn decode(bytes: &[u8; BYTES]) -> Option<Finding> {
        let mut at = 0;
        let mut take = |n: usize| {
            at += n;
            &bytes[at - n..at]
        };
        let &[rule, grade, kind, who, other_who] = take(5) else { return None };
        let mut int = || i32::from_ne_bytes(take(4).try_into().unwrap_or_default());
        let [fd, other, epfd, tid] = [int(), int(), int(), int()];
        let [events, bits, site, deed] = [int(), int(), int(), int()].map(i32::cast_unsigned);
        let mut long = || u64::from_ne_bytes(take(8).try_into().unwrap_or_default());
        let [count, first_ns, last_ns, worst_ns] = [long(), long(), long(), long()];
        let numbers = [(); 6].map(|()| long().cast_signed());
        let mut words = |length: u8| {
            let text = take(MOST_TEXT).get(..usize::from(length))?;
            core::str::from_utf8(text).ok().map(Described::new)
        };
        Some(Finding {
            rule: *Rule::ALL.get(usize::from(rule))?,
            grade: *[Grade::Note, Grade::Suspect, Grade::Fault].get(usize::from(grade))?,
            kind: Some(Kind::from_u8(kind)).filter(|known| *known as u8 == kind)?,
            fd,
            other,
            epfd,
            tid,
            events,
            bits,
            site: SiteId(site),
            at: SiteId(deed),
            count,
            first_ns,
            last_ns,
            worst_ns,
            numbers,
            who: words(who)?,
            other_who: words(other_who)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives() {
        for number in 0..=Kind::Other as u8 {
            let finding = Finding { kind: Kind::from_u8(number), ..Finding::new(Rule::Spin, Grade::Note) };
            assert_eq!(Finding::decode(&finding.encode()), Some(finding));
        }
    }

    #[test]
    fn a_decoded_finding_is_the_encoded_one() {
        let finding = Finding {
            kind: Kind::Tcp,
            fd: 7,
            tid: 99,
            events: 1 << 31,
            site: SiteId(3),
            count: u64::MAX,
            numbers: [-1, 2, 3, 4, 5, i64::MIN],
            who: Described::new("tcp ü"),
            ..Finding::new(Rule::SleptEdge, Grade::Fault)
        };
        assert_eq!(Finding::decode(&finding.encode()), Some(finding));
        assert_eq!(Finding::decode(&[255; BYTES]), None);
    }
}
