//! The results of calls other than epoll's on the descriptor of an instance. The descriptor is a
//! pipe, and a pipe behaves differently from an epoll descriptor. Not here: `read` and `write`
//! (`hooks/`), and calls that a pipe refuses with the same errno.
//!
//! Kernel counterpart: `eventpoll_fops`, and the defaults of callers for `file_operations` that are
//! NULL.

use libc::c_int;
use nix::errno::Errno;

use crate::graph::eventpoll::Eventpoll;
use crate::graph::lookup;
use crate::instance::naming;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sys;
use crate::uaccess;

/// The instance behind a number that is known to name one.
#[inline]
pub fn instance(fd: c_int) -> Option<&'static Eventpoll> {
    let ep = lookup::known(fd)?.eventpoll()?;
    naming::is_instance(fd).then_some(ep)
}

/// The valid flags of splice, tee and vmsplice.
const FLAGS: u32 = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MORE | libc::SPLICE_F_GIFT;

/// The errno of a vmsplice of `pieces` pieces if the descriptor is an instance's.
#[inline]
pub fn splicing_memory(fd: c_int, pieces: usize, flags: u32) -> Option<Errno> {
    instance(fd)?;
    (pieces > 0).then_some(if flags & !FLAGS == 0 { Errno::EBADF } else { Errno::EINVAL })
}

/// The errno of a splice or tee if one of the two descriptors is an instance's. `offsets` says
/// which of them have an offset. `None` if the call is to be made: neither is an instance's, the
/// length is 0, or the flags are invalid.
#[inline]
pub fn moving(ends: [c_int; 2], offsets: [bool; 2], n: usize, flags: u32) -> Option<Errno> {
    if instance(ends[0]).is_none() && instance(ends[1]).is_none() {
        return None;
    }
    refuse_to_move(ends, offsets, n, flags)
}

#[cold]
fn refuse_to_move(ends: [c_int; 2], offsets: [bool; 2], n: usize, flags: u32) -> Option<Errno> {
    const WRONG: [c_int; 2] = [libc::O_WRONLY, libc::O_RDONLY];
    if n == 0 || flags & !FLAGS != 0 {
        return None;
    }
    let mut found = Errno::EINVAL;
    for side in [0, 1] {
        let fd = ends[side];
        match sys::fcntl(fd, libc::F_GETFL, 0) {
            Ok(mode) if mode & libc::O_PATH == 0 => {
                let wrong = instance(fd).is_none() && mode & libc::O_ACCMODE == WRONG[side];
                let is_pipe = || sys::fstat(fd).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFIFO);
                if offsets[side] && instance(fd).is_none() && is_pipe() {
                    found = Errno::ESPIPE;
                } else if wrong && found == Errno::EINVAL {
                    found = Errno::EBADF;
                }
            }
            _ => return Some(Errno::EBADF),
        }
    }
    Some(found)
}

/// fcntl on an instance: its result, or `None` if the call is to be made on the pipe.
pub fn control(ep: &Eventpoll, fd: c_int, command: c_int, argument: usize) -> Option<Result<c_int, Errno>> {
    match command {
        libc::F_GETFL => Some(sys::fcntl(fd, libc::F_GETFL, 0).map(|flags| {
            let blocks = if ep.nonblocking.load(Relaxed) { libc::O_NONBLOCK } else { 0 };
            flags & !(libc::O_ACCMODE | libc::O_NONBLOCK) | libc::O_RDWR | blocks
        })),
        libc::F_SETFL => {
            let flags = argument as c_int;
            if flags & libc::O_DIRECT != 0 {
                return Some(Err(Errno::EINVAL));
            }
            // The pipe stays nonblocking, whatever flags the program sets on the instance.
            let set = sys::fcntl(fd, libc::F_SETFL, argument | libc::O_NONBLOCK as usize);
            if set.is_ok() {
                ep.nonblocking.store(flags & libc::O_NONBLOCK != 0, Relaxed);
            }
            Some(set)
        }
        libc::F_GETPIPE_SZ | libc::F_SETPIPE_SZ => Some(Err(Errno::EBADF)),
        libc::F_ADD_SEALS => Some(Err(Errno::EINVAL)),
        _ => None,
    }
}

/// `struct epoll_params`, the busy polling of an instance. It is stored, and has no effect.
#[repr(C)]
#[derive(Clone, Copy)]
struct Params {
    usecs: u32,
    budget: u16,
    prefers: u8,
    pad: u8,
}

const FIGETBSZ: libc::Ioctl = 2;
const EPIOCSPARAMS: libc::Ioctl = 0x4008_8a01;
const EPIOCGPARAMS: libc::Ioctl = 0x8008_8a02_u32 as libc::Ioctl;

/// ioctl on an instance: its result, or `None` if the call is to be made on the pipe.
///
/// # Safety
/// The argument must be what the request demands.
pub unsafe fn ioctl(ep: &Eventpoll, request: libc::Ioctl, argument: usize) -> Option<Result<c_int, Errno>> {
    let argument = argument as *mut Params;
    // The kernel takes 32 bits.
    match request as u32 as libc::Ioctl {
        libc::FIONBIO => {
            // SAFETY: the caller vouches for the argument.
            let nonblocking = unsafe { uaccess::read(argument as *const c_int) };
            Some(nonblocking.map(|nonblocking| {
                ep.nonblocking.store(nonblocking != 0, Relaxed);
                0
            }))
        }
        libc::FIOCLEX | libc::FIONCLEX | libc::FIOASYNC | libc::FIOQSIZE | FIGETBSZ => None,
        EPIOCSPARAMS => {
            // SAFETY: as above.
            Some(unsafe { uaccess::read(argument.cast_const()) }.and_then(|params| set_params(ep, params)))
        }
        EPIOCGPARAMS => {
            let [usecs, rest] = [0, 32].map(|shift| (ep.params.load(Relaxed) >> shift) as u32);
            let params = Params { usecs, budget: rest as u16, prefers: (rest >> 16) as u8, pad: 0 };
            // SAFETY: as above.
            Some(unsafe { uaccess::write(argument, params) }.map(|()| 0))
        }
        _ => Some(Err(Errno::EINVAL)),
    }
}

fn set_params(ep: &Eventpoll, params: Params) -> Result<c_int, Errno> {
    if params.pad != 0 || params.usecs > i32::MAX as u32 || params.prefers > 1 {
        return Err(Errno::EINVAL);
    }
    let rest = u32::from(params.budget) | u32::from(params.prefers) << 16;
    ep.params.store(u64::from(params.usecs) | u64::from(rest) << 32, Relaxed);
    Ok(0)
}

/// lseek on an instance. The position is always 0.
pub fn seek(whence: c_int) -> Result<i64, Errno> {
    if (libc::SEEK_SET..=libc::SEEK_HOLE).contains(&whence) { Ok(0) } else { Err(Errno::EINVAL) }
}
