//! Checks whether a number still names the description that it named. It may have been closed and
//! used again by calls that the library did not see.

use libc::c_int;
use nix::errno::Errno;

use super::File;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sys;

/// Device and inode.
pub type Identity = (u64, u64);

/// The time for which a comparison is valid.
const CHECK_MS: u64 = 10;

/// The number of comparisons that the reports of an instance make between two ticks of the coarse
/// clock: enough for every reported registration, unless there are many.
#[derive(Debug)]
pub struct Allowance {
    tick: u64,
    left: u8,
}

impl Allowance {
    const EACH_TICK: u8 = 16;

    /// An unused allowance.
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

/// The number of bits of an inode that a mark contains unchanged.
const INODE_BITS: u32 = 40;

/// The bits of an inode that a mark contains.
pub(super) fn known_part(inode: u64) -> u64 {
    inode & ((1 << INODE_BITS) - 1)
}

/// Combines both in one number. Device numbers are short, and so are the inodes of files without a
/// name.
fn mark_of((device, inode): Identity) -> u64 {
    let device = device ^ device >> (64 - INODE_BITS);
    (device << INODE_BITS ^ inode).max(1)
}

impl File {
    /// Records device and inode. The next use of a number is compared with them.
    pub fn mark(&self, identity: Identity) {
        self.check_anew();
        self.mark.store(mark_of(identity), Relaxed);
    }

    /// Makes the next use of a number compare it with the recorded device and inode.
    pub fn check_anew(&self) {
        self.checked_at.store(0, Relaxed);
    }

    /// Whether device and inode are known.
    pub fn is_marked(&self) -> bool {
        self.mark.load(Relaxed) != 0
    }

    /// Whether device and inode are these, or are unknown.
    pub fn is_marked_as(&self, identity: Identity) -> bool {
        [0, mark_of(identity)].contains(&self.mark.load(Relaxed))
    }

    /// Whether the device is known to be this one, which gives its files small inodes. A file with a
    /// large inode on another device may match by chance.
    pub fn is_marked_as_on(&self, device: u64) -> bool {
        self.mark.load(Relaxed) >> INODE_BITS == mark_of((device, 0)) >> INODE_BITS && self.is_marked()
    }

    /// The known part of the inode.
    pub(super) fn inode(&self) -> u64 {
        known_part(self.mark.load(Relaxed))
    }

    /// Whether a number was compared a moment ago.
    #[inline]
    pub fn was_checked(&self, now: u64) -> bool {
        self.checked_until(now).is_some()
    }

    /// The time until which the last comparison of a number is valid; `None` if that is over.
    #[inline]
    pub fn checked_until(&self, now: u64) -> Option<u64> {
        let age = u64::from((now as u32).wrapping_sub(self.checked_at.load(Relaxed)));
        (age < CHECK_MS).then(|| now - age + CHECK_MS)
    }

    fn check_at(&self, fd: c_int, now: u64) -> bool {
        self.checked_at.store((now as u32).max(1), Relaxed);
        self.is_named_by(fd)
    }

    /// Like [`Self::is_named_by`], but makes its system call only now and then; with `once_used`,
    /// not before the first use after `mark`.
    pub fn is_likely_named_by(&self, fd: c_int, once_used: bool) -> bool {
        if once_used && self.checked_at.load(Relaxed) == 0 {
            return true;
        }
        let now = sys::coarse_ms();
        self.was_checked(now) || self.check_at(fd, now)
    }

    /// Like `is_likely_named_by` for a report at the time `now`: compares the number as often as
    /// the instance's allowance permits, and always the first time.
    pub fn is_still_named_by(&self, fd: c_int, now: u64, allowance: &mut Allowance) -> bool {
        let is_first = self.checked_at.load(Relaxed) == 0;
        (!is_first && (self.was_checked(now) || !allowance.take(now))) || self.check_at(fd, now)
    }

    /// Whether the number still names the description, as far as device and inode show, and the
    /// kind if all such files share one inode.
    pub fn is_named_by(&self, fd: c_int) -> bool {
        loop {
            let mark = self.mark.load(Relaxed);
            if mark == 0 {
                return true;
            }
            let is_named = match sys::fstat(fd) {
                Ok(stat) => mark == mark_of((stat.st_dev, stat.st_ino)) && self.is_of_kind(fd, &stat),
                // A call that is not permitted proves nothing.
                Err(errno) => errno != Errno::EBADF,
            };
            // A signal handler may have forked after the call. Then this is the child, whose
            // instances have pipes of their own.
            if is_named || self.mark.load(Relaxed) == mark {
                return is_named;
            }
        }
    }

    /// Whether the number can name this description, given that device and inode match: files that
    /// share the anonymous inode must also have the same name. The name is recorded at the first
    /// comparison.
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
