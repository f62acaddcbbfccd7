//! Functions of TLS libraries. Only libepolyfill-see.so exports them.

use std::ffi::{c_int, c_void};

use super::export;
use crate::see::tls::{self, Connection, GNUTLS_RECORD_RECV, SSL_READ, SSL_READ_EX};

export! {
    /// OpenSSL's read.
    fn SSL_read(connection: Connection, buffer: *mut c_void, n: c_int) -> c_int {
        type Read = extern "C" fn(Connection, *mut c_void, c_int) -> c_int;
        // SAFETY: the function of that name has this type.
        let read = |next| unsafe { std::mem::transmute::<*mut c_void, Read>(next) }(connection, buffer, n);
        SSL_READ.read(connection, read).unwrap_or_else(|| tls::refused(-1))
    }

    /// OpenSSL's read that returns the number of bytes by an address.
    fn SSL_read_ex(connection: Connection, buffer: *mut c_void, n: usize, got: *mut usize) -> c_int {
        type Read = extern "C" fn(Connection, *mut c_void, usize, *mut usize) -> c_int;
        // SAFETY: the function of that name has this type.
        let read = |next| unsafe { std::mem::transmute::<*mut c_void, Read>(next) }(connection, buffer, n, got);
        SSL_READ_EX.read(connection, read).unwrap_or_else(|| tls::refused(0))
    }

    /// GnuTLS' read.
    fn gnutls_record_recv(connection: Connection, buffer: *mut c_void, n: usize) -> isize {
        const UNIMPLEMENTED: isize = -1250;
        type Read = extern "C" fn(Connection, *mut c_void, usize) -> isize;
        // SAFETY: the function of that name has this type.
        let read = |next| unsafe { std::mem::transmute::<*mut c_void, Read>(next) }(connection, buffer, n);
        GNUTLS_RECORD_RECV.read(connection, read).unwrap_or_else(|| tls::refused(UNIMPLEMENTED))
    }
}
