//! Streams: libc closes their descriptors without calling `close` by its name.

use libc::{DIR, FILE, c_char, c_int};

use super::export;
use crate::graph::fdtable;
use crate::graph::own_table;
use crate::instance::close;
use crate::real;
use crate::see::{Observer, Watch};
use crate::sys;

unsafe fn forget_stream(stream: *mut FILE) {
    let errno = sys::last_errno();
    // SAFETY: the caller passes an open stream. fileno returns -1 and EBADF for one without a
    // descriptor.
    let fd = unsafe { libc::fileno(stream) };
    sys::set_errno(errno);
    forget(fd);
}

fn forget(fd: c_int) {
    Watch::closing(fd);
    if fdtable::has(fd) && !own_table::is_borrowed() {
        close::forget_from_anywhere(fd);
    }
}

export! {
    /// Closes a stream and its descriptor.
    fn fclose(stream: *mut FILE) -> c_int as libc::fclose {
        // SAFETY: as for libc's fclose.
        unsafe {
            forget_stream(stream);
            real::fclose(stream)
        }
    }

    /// Closes a stream made by popen.
    fn pclose(stream: *mut FILE) -> c_int as libc::pclose {
        // SAFETY: as for libc's pclose.
        unsafe {
            forget_stream(stream);
            real::pclose(stream)
        }
    }

    /// Closes a directory stream.
    fn closedir(directory: *mut DIR) -> c_int as libc::closedir {
        // SAFETY: as for libc's closedir.
        unsafe {
            forget(libc::dirfd(directory));
            real::closedir(directory)
        }
    }

    /// Opens another file on a stream.
    fn freopen(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE as libc::freopen {
        // SAFETY: as for libc's freopen.
        unsafe {
            forget_stream(stream);
            real::freopen(path, mode, stream)
        }
    }

    /// The name of freopen in programs built for large files. The same function, because off_t has
    /// 64 bits; musl has no other name.
    fn freopen64(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE {
        // SAFETY: as for libc's freopen64.
        unsafe { freopen(path, mode, stream) }
    }
}
