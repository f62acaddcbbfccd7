//! Calls that control the signals of a description, of which some are the library's
//! (`backend/signals.rs`). The program does not see these, and gets its own as soon as it asks for
//! any.

use libc::c_int;
use nix::errno::Errno;

use crate::backend::signals;
use crate::sys;
use crate::uaccess;

const F_SETOWN: c_int = 8;
const F_GETOWN: c_int = 9;
const F_SETSIG: c_int = 10;
const F_GETSIG: c_int = 11;
const F_SETOWN_EX: c_int = 15;
const F_GETOWN_EX: c_int = 16;

const FIOSETOWN: libc::Ioctl = 0x8901;
const SIOCSPGRP: libc::Ioctl = 0x8902;
const FIOGETOWN: libc::Ioctl = 0x8903;
const SIOCGPGRP: libc::Ioctl = 0x8904;

/// Before a call of fcntl(2). Returns its answer if it must not reach the kernel as it is.
pub fn controlling_signals(fd: c_int, command: c_int, argument: usize) -> Option<Result<c_int, Errno>> {
    match command {
        libc::F_GETFL => {
            signals::armed_number(fd)?;
            Some(sys::fcntl(fd, libc::F_GETFL, 0).map(|flags| flags & !libc::O_ASYNC))
        }
        libc::F_SETFL => {
            let flags = argument as c_int;
            if flags & libc::O_ASYNC != 0 {
                signals::give_up(libc::SIGIO);
            }
            signals::armed_number(fd)?;
            if flags & libc::O_ASYNC != 0 || flags & libc::O_NONBLOCK == 0 {
                signals::let_go(fd);
                return None;
            }
            Some(sys::fcntl(fd, libc::F_SETFL, argument | libc::O_ASYNC as usize))
        }
        F_SETOWN | F_GETOWN | F_SETSIG | F_GETSIG | F_SETOWN_EX | F_GETOWN_EX => {
            signals::let_go(fd);
            None
        }
        _ => None,
    }
}

/// Before a call of ioctl(2).
///
/// # Safety
/// The argument must be valid for the request.
pub unsafe fn controlling_by_ioctl(fd: c_int, request: libc::Ioctl, argument: usize) {
    let lets_go = match request {
        libc::FIOASYNC => {
            signals::give_up(libc::SIGIO);
            true
        }
        FIOSETOWN | SIOCSPGRP | FIOGETOWN | SIOCGPGRP => true,
        // SAFETY: the caller answers for the argument.
        libc::FIONBIO => (unsafe { uaccess::read(argument as *const c_int) }) == Ok(0),
        _ => false,
    };
    if lets_go {
        signals::let_go(fd);
    }
}
