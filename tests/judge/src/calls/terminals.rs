//! Terminals.

use libc::c_int;

use super::answer;
use crate::kernel::Answer;

pub fn terminal_of(master: c_int) -> Answer {
    // SAFETY: TIOCGPTPEER takes flags and returns a descriptor.
    answer(unsafe {
        libc::ioctl(master, libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC)
    })
}

/// Discards the input of a terminal, sets its modes to their present values, or does both; stops or
/// restarts its output.
pub fn control_terminal(fd: c_int, how: i64) -> Answer {
    // SAFETY: zeroes are a valid termios, which the first call fills in.
    answer(unsafe {
        let mut termios: libc::termios = std::mem::zeroed();
        match how {
            0 => libc::tcflush(fd, libc::TCIFLUSH),
            1 | 2 if libc::tcgetattr(fd, &raw mut termios) < 0 => -1,
            1 => libc::tcsetattr(fd, libc::TCSANOW, &raw const termios),
            2 => libc::tcsetattr(fd, libc::TCSAFLUSH, &raw const termios),
            3 => libc::tcflow(fd, libc::TCOOFF),
            _ => libc::tcflow(fd, libc::TCOON),
        }
    })
}

/// Makes a terminal pass bytes unchanged.
pub fn make_raw(fd: c_int) {
    // SAFETY: zeroes are a valid termios, which the first call fills in.
    unsafe {
        let mut termios: libc::termios = std::mem::zeroed();
        if libc::tcgetattr(fd, &raw mut termios) == 0 {
            libc::cfmakeraw(&raw mut termios);
            libc::tcsetattr(fd, libc::TCSANOW, &raw const termios);
        }
    }
}
