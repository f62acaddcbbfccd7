//! Reads of OpenSSL and GnuTLS connections, for the bytes that they have decrypted and not yet
//! returned: no wait reports them.
//!
//! A process can have several TLS libraries, each known only to the objects that were linked with
//! it. So the function that the program meant is looked up on behalf of the caller, where the
//! dynamic linker would have found it without this library.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use epolyfill_facts::Fact;
use nix::errno::Errno;

use super::recorder;
use super::stack::{self, Stack};
use crate::sys;

/// A connection: `SSL` or `gnutls_session_t`.
pub type Connection = *mut c_void;

/// The functions that are looked up together. The first is the one that the program calls.
type Names = [&'static CStr; 3];

/// A function of a TLS library that reads, with those that show the descriptor and the bytes that
/// are left.
#[derive(Debug)]
pub struct Reader {
    names: Names,
    /// Whether the transport of the connection is a descriptor.
    kind: Kind,
    callers: [Caller; MOST_CALLERS],
    next: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    OpenSsl,
    GnuTls,
}

/// The places that call such a function; more than these are looked up each time.
const MOST_CALLERS: usize = 32;

/// A return address, and the functions of its library.
#[derive(Debug)]
struct Caller {
    /// 0 until the entry is complete.
    address: AtomicUsize,
    functions: [AtomicUsize; 3],
}

impl Caller {
    const fn nobody() -> Caller {
        Caller { address: AtomicUsize::new(0), functions: [const { AtomicUsize::new(0) }; 3] }
    }
}

/// `SSL_read`.
pub static SSL_READ: Reader = Reader::new([c"SSL_read", c"SSL_pending", c"SSL_get_rfd"], Kind::OpenSsl);
/// `SSL_read_ex`.
pub static SSL_READ_EX: Reader = Reader::new([c"SSL_read_ex", c"SSL_pending", c"SSL_get_rfd"], Kind::OpenSsl);
/// `gnutls_record_recv`.
pub static GNUTLS_RECORD_RECV: Reader =
    Reader::new([c"gnutls_record_recv", c"gnutls_record_check_pending", c"gnutls_transport_get_ptr"], Kind::GnuTls);

impl Reader {
    const fn new(names: Names, kind: Kind) -> Reader {
        Reader { names, kind, callers: [const { Caller::nobody() }; MOST_CALLERS], next: AtomicUsize::new(0) }
    }

    /// Makes a read by `call`, which takes the address of the function, and records what is left.
    /// `None` if the program has no such function, which it cannot have meant to call.
    pub fn read<R>(&self, connection: Connection, call: impl FnOnce(*mut c_void) -> R) -> Option<R> {
        let caller = Stack::caller();
        let [function, pending, transport] = self.of_caller(caller)?;
        let began_ns = if recorder::is_on() { sys::now() } else { 0 };
        let result = call(function as *mut c_void);
        if began_ns != 0 && pending != 0 && transport != 0 {
            let errno = sys::last_errno();
            // SAFETY: the program has just used the connection with functions of this library.
            unsafe { self.record(connection, began_ns, pending, transport) };
            sys::set_errno(errno);
        }
        Some(result)
    }

    /// Records the decrypted bytes of a connection whose transport is a descriptor.
    ///
    /// # Safety
    /// The connection must be valid, and the addresses those of its library's functions.
    unsafe fn record(&self, connection: Connection, began_ns: u64, pending: usize, transport: usize) {
        // SAFETY: the caller answers for it; these are the types of the functions.
        let (fd, pending) = unsafe {
            match self.kind {
                Kind::OpenSsl => {
                    let descriptor = std::mem::transmute::<usize, extern "C" fn(Connection) -> c_int>(transport);
                    let pending = std::mem::transmute::<usize, extern "C" fn(Connection) -> c_int>(pending);
                    (descriptor(connection), u64::try_from(pending(connection)).unwrap_or(0))
                }
                Kind::GnuTls => {
                    // A descriptor, unless the program has functions of its own for the transport.
                    let pointer = std::mem::transmute::<usize, extern "C" fn(Connection) -> *mut c_void>(transport);
                    let pending = std::mem::transmute::<usize, extern "C" fn(Connection) -> usize>(pending);
                    (c_int::try_from(pointer(connection).addr()).unwrap_or(-1), pending(connection) as u64)
                }
            }
        };
        if fd >= 0 {
            recorder::fact(&Fact::TlsRead { fd, pending, began_ns });
        }
    }

    /// The functions that a caller means, the first of which exists.
    fn of_caller(&self, address: usize) -> Option<[usize; 3]> {
        let known = self.callers.iter().find(|known| known.address.load(Acquire) == address && address != 0);
        if let Some(known) = known {
            return Some([0, 1, 2].map(|at| known.functions[at].load(Relaxed)));
        }
        let found = self.names.map(|name| find(name, address));
        if found[0] == 0 {
            return None;
        }
        let is_full = address == 0 || self.next.load(Relaxed) >= MOST_CALLERS;
        let free = if is_full { None } else { self.callers.get(self.next.fetch_add(1, Relaxed)) };
        if let Some(free) = free {
            for (to, function) in free.functions.iter().zip(found) {
                to.store(function, Relaxed);
            }
            free.address.store(address, Release);
        }
        Some(found)
    }
}

/// The function of that name that a caller means; 0 if there is none.
fn find(name: &CStr, caller: usize) -> usize {
    // SAFETY: a valid name; RTLD_NEXT starts the search after this library.
    let next = || unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    let ways = [&|| of_object(name, object_of(caller)), &next as &dyn Fn() -> *mut c_void, &|| of_any_object(name)];
    ways.iter().map(|way| way().addr()).find(|found| *found != 0 && !stack::is_own(*found)).unwrap_or(0)
}

/// The path of the object that has an address; null if there is none.
fn object_of(address: usize) -> *const c_char {
    // SAFETY: all zeroes is a valid value, and dladdr only fills it.
    unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        libc::dladdr(address as *const c_void, &raw mut info);
        info.dli_fname
    }
}

/// The function of that name in an object that is loaded, or in those that it was linked with.
fn of_object(name: &CStr, path: *const c_char) -> *mut c_void {
    if path.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: a path from the dynamic linker; nothing is loaded by RTLD_NOLOAD.
    unsafe {
        let object = libc::dlopen(path, libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        if object.is_null() {
            return object;
        }
        let found = libc::dlsym(object, name.as_ptr());
        libc::dlclose(object);
        found
    }
}

/// The function of that name in whatever object has one.
fn of_any_object(name: &CStr) -> *mut c_void {
    struct Search<'a> {
        name: &'a CStr,
        found: *mut c_void,
    }
    unsafe extern "C" fn look(object: *mut libc::dl_phdr_info, _: usize, search: *mut c_void) -> c_int {
        // SAFETY: the dynamic linker passes a valid object, and `of_any_object` its search.
        let (object, search) = unsafe { (&*object, &mut *search.cast::<Search<'_>>()) };
        let found = of_object(search.name, object.dlpi_name);
        if !found.is_null() && !stack::is_own(found.addr()) {
            search.found = found;
        }
        c_int::from(!search.found.is_null())
    }
    let mut search = Search { name, found: std::ptr::null_mut() };
    // SAFETY: the function takes these arguments, which outlive the call.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
    search.found
}

/// The result of a function that does not exist.
pub fn refused<R>(result: R) -> R {
    sys::set_errno(Errno::ENOSYS);
    result
}
