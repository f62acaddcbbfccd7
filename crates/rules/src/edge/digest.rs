//! The levels that each fact re-arms. Hooks report the effects of calls as facts, and a
//! registration takes them in here.

use super::{Edge, Facts, Flags, TAKEN};
use crate::events::{Bits, ERR, IN, OUT, PRI, RDNORM, READABLE, WRITABLE, WRNORM};
use crate::kind::{Arrivals, Kind};

impl Edge {
    /// Takes in facts. `news` is false if the calls began before the last report: then that report
    /// may have included a write, and data that was taken may have arrived before it or after.
    pub fn digest(&mut self, kind: Kind, watched: Bits, facts: Facts, news: bool) {
        if matches!(kind, Kind::Source) {
            return self.digest_posted(facts.posted_levels() & watched, news);
        }
        if kind.shows_changes() {
            return self.digest_change(kind, facts, news);
        }
        if facts.contains(Facts::WAKE_ALL) {
            return self.digest_wake_all(kind, news);
        }
        if facts.contains(Facts::ERRQUEUE_LEFT) {
            self.wake(!0);
        }
        if kind.is_eventfd() && !news && facts.intersects(Facts::READS) {
            // Every writer of this process reports, so one look decides.
            self.flags.insert(Flags::RECHECK_LEVEL);
            return;
        }
        if facts.contains(Facts::READ_EAGAIN) {
            self.wake_reader(kind);
        }
        if facts.took() {
            self.digest_take(kind, watched, facts, news);
        }
        if facts.contains(Facts::WROTE) && news {
            self.digest_write(kind, watched);
        }
        self.digest_space(kind, watched, facts, news);
        self.digest_errors(facts, news);
        if facts.intersects(Facts::RECHECK | Facts::SO_ERROR_CLEARED) {
            self.flags.insert(Flags::RECHECK_LEVEL);
        }
    }

    /// Takes in the levels posted on a source.
    fn digest_posted(&mut self, posted: Bits, news: bool) {
        if news && posted != 0 {
            self.wake(posted);
        }
    }

    /// Takes in the facts of a file that shows changes. A read clears the levels that last until
    /// then.
    fn digest_change(&mut self, kind: Kind, facts: Facts, news: bool) {
        if news && facts.contains(Facts::WAKE_ALL) {
            self.wake(!0);
        }
        if matches!(kind, Kind::Attribute) && facts.took() {
            self.was_low(ERR | PRI);
            (self.doubts, self.due) = (0, 0);
        }
    }

    /// Takes in a wake-up of every waiter.
    fn digest_wake_all(&mut self, kind: Kind, news: bool) {
        if news {
            self.wake(!0);
        } else {
            self.flags.insert(Flags::RECHECK_LEVEL);
        }
        if matches!(kind, Kind::Tcp) {
            self.follow();
        }
    }

    /// Takes in a call that took something.
    fn digest_take(&mut self, kind: Kind, watched: Bits, facts: Facts, news: bool) {
        self.check_arrivals(kind, watched, news);
        match kind.arrivals() {
            // Treated as empty: the count will show whether the data in it is new.
            Arrivals::Received | Arrivals::Queued if facts.contains(Facts::SHORT_READ) => self.was_low(READABLE),
            Arrivals::Received | Arrivals::Queued | Arrivals::Backlog => {}
            Arrivals::Expirations => self.was_low(READABLE),
            // If the count fails, the rest counts as news.
            Arrivals::Datagrams | Arrivals::Diagnosed | Arrivals::Memory | Arrivals::Listed => {
                (self.doubts, self.due) = (0, 0);
            }
            Arrivals::Signals => (self.doubts, self.due) = (TAKEN, 0),
            Arrivals::Hooked if matches!(kind, Kind::EventfdSemaphore) => self.flags.insert(Flags::RECHECK_LEVEL),
            Arrivals::Hooked | Arrivals::Unknown => self.wake_reader(kind),
        }
        if kind.is_eventfd() && watched & OUT != 0 {
            self.wake(!0);
        }
    }

    /// Takes in a write that was accepted whole after the last report.
    fn digest_write(&mut self, kind: Kind, watched: Bits) {
        match kind {
            Kind::Eventfd | Kind::EventfdSemaphore if watched & IN != 0 => self.wake(READABLE),
            // An instance wakes with EPOLLIN and nothing else.
            Kind::Epoll if watched & IN != 0 => self.wake(READABLE),
            // A datagram that is sent frees its buffer, and so does MPTCP data that is
            // acknowledged. A terminal consumes its output.
            Kind::Udp | Kind::Socket | Kind::Mptcp | Kind::Tty if watched & WRITABLE != 0 => self.wake(!0),
            _ => {}
        }
    }

    /// Takes in that space was freed, or that there was none.
    fn digest_space(&mut self, kind: Kind, watched: Bits, facts: Facts, news: bool) {
        // Space that a read makes in a full pipe wakes once. A registration that reported the space
        // had that wake-up.
        let knows = kind.is_pipe() && self.reported & WRITABLE != 0 && !facts.contains(Facts::FREED_AFTER_NO_SPACE);
        // The key of a pipe's wake-up has these bits; that of a socket also has WRBAND.
        let space = if kind.is_pipe() { OUT | WRNORM } else { WRITABLE };
        let freed = news && facts.contains(Facts::SPACE_FREED) && watched & space != 0 && !knows;
        let blocked = facts.contains(Facts::WRITER_BLOCKED) && watched & (IN | RDNORM) != 0;
        if freed || blocked {
            self.wake(!0);
        }
        if facts.contains(Facts::NO_SPACE) {
            if kind.is_eventfd() {
                // An eventfd refuses a value that would overflow it, and has space for a smaller
                // one.
                self.flags.insert(Flags::RECHECK_LEVEL);
            } else {
                self.was_low(WRITABLE);
            }
        }
    }

    /// Takes in that a pending error was cleared.
    fn digest_errors(&mut self, facts: Facts, news: bool) {
        if !facts.contains(Facts::SO_ERROR_CLEARED) {
            return;
        }
        if news && (self.reported & ERR == 0 || facts.contains(Facts::SO_ERROR_CLEARED_AGAIN)) {
            // The error came after the last report, and woke the registration.
            self.wake(!0);
        } else {
            self.was_low(ERR);
        }
    }
}
