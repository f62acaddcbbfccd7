//! Whether a number still names the description that it named: it may have been closed and used again behind our back.

use libc::c_int;
use nix::errno::Errno;

use super::File;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sys;

/// Device and inode.
pub type Identity = (u64, u64);

/// How long a comparison holds.
const CHECK_MS: u64 = 10;

/// How many comparisons the reports of an instance make between two ticks of the coarse clock: enough for each of those that are
/// reported, where they are not many.
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

/// Both in one number.
fn mark_of((device, inode): Identity) -> u64 {
    (device.rotate_left(40) ^ inode).max(1)
}

impl File {
    /// Takes down device and inode, from the graph. The next use of a number is compared with them.
    pub fn mark(&self, identity: Identity) {
        self.checked_at.store(0, Relaxed);
        self.mark.store(mark_of(identity), Relaxed);
    }

    /// The same as [`Self::is_named_by`], asked now and then only, for it is a system call; with `once_used` not before the first
    /// use after `mark`.
    pub fn is_likely_named_by(&self, fd: c_int, once_used: bool) -> bool {
        let before = self.checked_at.load(Relaxed);
        if once_used && before == 0 {
            return true;
        }
        let now = sys::coarse_ms();
        if now.saturating_sub(before) < CHECK_MS {
            return true;
        }
        self.checked_at.store(now, Relaxed);
        self.is_named_by(fd)
    }

    /// The same for a report, at this time, as often as the instance is allowed to ask; the first is always asked for.
    pub fn is_still_named_by(&self, fd: c_int, now: u64, allowance: &mut Allowance) -> bool {
        let before = self.checked_at.load(Relaxed);
        if before != 0 && (now.saturating_sub(before) < CHECK_MS || !allowance.take(now)) {
            return true;
        }
        self.checked_at.store(now, Relaxed);
        self.is_named_by(fd)
    }

    /// Whether the number still names the description, as far as device and inode tell, and where all share one inode the kind.
    pub fn is_named_by(&self, fd: c_int) -> bool {
        let mark = self.mark.load(Relaxed);
        if mark == 0 {
            return true;
        }
        match sys::fstat(fd) {
            Ok(stat) => mark_of((stat.st_dev, stat.st_ino)) == mark && self.is_of_kind(fd, &stat),
            // Where the question is not allowed the answer is not no.
            Err(errno) => errno != Errno::EBADF,
        }
    }

    /// Whether the number can be the description's, whose device and inode it has: what shares the anonymous inode has to have one
    /// name. It is taken down at the first comparison.
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
