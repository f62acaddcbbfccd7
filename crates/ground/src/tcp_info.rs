//! TCP_INFO of a socket.

use libc::c_int;
use linux_raw_sys::net::tcp_info;

use crate::sys;

/// The values for a kernel that reports none of them: the receive window is not shut.
const fn unknown() -> tcp_info {
    // SAFETY: numbers only, for which all zeroes is valid.
    let info: tcp_info = unsafe { std::mem::zeroed() };
    tcp_info { tcpi_rcv_wnd: u32::MAX, ..info }
}

/// TCP_INFO; `None` if the descriptor is not a TCP socket.
pub fn read(fd: c_int) -> Option<tcp_info> {
    let mut info = unknown();
    let length = sys::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info).ok()?;
    (length >= std::mem::offset_of!(tcp_info, tcpi_segs_out)).then_some(info)
}

/// The state of a TCP connection; `None` if the descriptor is not a TCP socket.
pub fn state(fd: c_int) -> Option<u8> {
    read(fd).map(|info| info.tcpi_state)
}
