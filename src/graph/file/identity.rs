//! Whether a number still names the description that it named: it may have been closed and used
//! again behind our back.

use libc::c_int;
use nix::errno::Errno;

use super::File;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sys;

/// Device and inode.
pub type Identity = (u64, u64);

/// How long a comparison holds.
const CHECK_MS: u64 = 10;

/// How many comparisons the reports of an instance make between two ticks of the coarse clock:
/// enough for each of those that are reported, where they are not many.
#[derive(Debug)]
pub struct Allowance {
    tick: u64,
    left: u8,
}

impl Allowance {
    const EACH_TICK: u8 = 16;

    /// Nothing was asked yet.
    pub const fn new() -> Allowance {
        Allowance { tick: 0, left: Allowance::EACH_TICK }
    }

    fn take(&mut self, now: u64) -> bool {
        if self.tick != now {
            *self = Allowance { tick: now, left: Allowance::EACH_TICK };
        }
        let is_granted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_granted
    }
}

/// How many bits of an inode stand in a mark as they are.
const INODE_BITS: u32 = 40;

/// The bits of an inode that a mark holds.
pub(super) fn known_part(inode: u64) -> u64 {
    inode & ((1 << INODE_BITS) - 1)
}

/// Both in one number: a device's is short, and so is the inode of whatever has no name.
fn mark_of((device, inode): Identity) -> u64 {
    let device = device ^ device >> (64 - INODE_BITS);
    (device << INODE_BITS ^ inode).max(1)
}

impl File {
    /// Takes down device and inode. The next use of a number is compared with them.
    pub fn mark(&self, identity: Identity) {
        self.check_anew();
        self.mark.store(mark_of(identity), Relaxed);
    }

    /// The next use of a number is compared with what it named.
    pub fn check_anew(&self) {
        self.checked_at.store(0, Relaxed);
    }

    /// Whether device and inode are known.
    pub fn is_marked(&self) -> bool {
        self.mark.load(Relaxed) != 0
    }

    /// Whether device and inode are these, as far as they are known.
    pub fn is_marked_as(&self, identity: Identity) -> bool {
        [0, mark_of(identity)].contains(&self.mark.load(Relaxed))
    }

    /// As much of the inode as is known.
    pub(super) fn inode(&self) -> u64 {
        known_part(self.mark.load(Relaxed))
    }

    /// Whether it was compared a moment ago.
    fn was_checked(&self, now: u64) -> bool {
        u64::from((now as u32).wrapping_sub(self.checked_at.load(Relaxed))) < CHECK_MS
    }

    fn check_at(&self, fd: c_int, now: u64) -> bool {
        self.checked_at.store((now as u32).max(1), Relaxed);
        self.is_named_by(fd)
    }

    /// The same as [`Self::is_named_by`], asked now and then only, for it is a system call; with
    /// `once_used` not before the first use after `mark`.
    pub fn is_likely_named_by(&self, fd: c_int, once_used: bool) -> bool {
        if once_used && self.checked_at.load(Relaxed) == 0 {
            return true;
        }
        let now = sys::coarse_ms();
        self.was_checked(now) || self.check_at(fd, now)
    }

    /// The same for a report, at this time, as often as the instance is allowed to ask; the first
    /// is always asked for.
    pub fn is_still_named_by(&self, fd: c_int, now: u64, allowance: &mut Allowance) -> bool {
        let is_first = self.checked_at.load(Relaxed) == 0;
        (!is_first && (self.was_checked(now) || !allowance.take(now))) || self.check_at(fd, now)
    }

    /// Whether the number still names the description, as far as device and inode tell, and where
    /// all share one inode the kind.
    pub fn is_named_by(&self, fd: c_int) -> bool {
        loop {
            let mark = self.mark.load(Relaxed);
            if mark == 0 {
                return true;
            }
            let is_named = match sys::fstat(fd) {
                Ok(stat) => mark == mark_of((stat.st_dev, stat.st_ino)) && self.is_of_kind(fd, &stat),
                // Where the question is not allowed the answer is not no.
                Err(errno) => errno != Errno::EBADF,
            };
            // A signal handler may have forked after the question: then this is the child, whose
            // instances have pipes of their own.
            if is_named || self.mark.load(Relaxed) == mark {
                return is_named;
            }
        }
    }

    /// Whether the number can be the description's, whose device and inode it has: what shares the
    /// anonymous inode has to have one name. It is taken down at the first comparison.
    pub fn is_of_kind(&self, fd: c_int, stat: &libc::stat) -> bool {
        if stat.st_mode & libc::S_IFMT != 0 {
            return true;
        }
        let mut buffer = [0; 64];
        let Ok(link) = sys::descriptor_link(fd, &mut buffer) else { return true };
        let name = link.iter().fold(1, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte))).max(1);
        let before = self.name.compare_exchange(0, name, Relaxed, Relaxed);
        before.is_ok() || before == Err(name)
    }
}
