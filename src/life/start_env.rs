//! The part of the environment that children inherit: the library's entry of LD_PRELOAD and the
//! EPOLYFILL_* settings, as this process was started with them.
//!
//! Read once, at start-up, and never changed: the program may clear or overwrite its environment.
//! Empty if the library was loaded because of linking or `/etc/ld.so.preload`, in secure-execution
//! mode, and if children are not to be served. `exec_env` uses it.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Release};

use libc::c_void;

use crate::INTERPOSES;
use crate::life::exec_env::{self, Strings};
use crate::options;
use crate::sys;

/// The beginning of the variable's entry.
pub const PRELOAD: &[u8] = b"LD_PRELOAD=";
/// The prefix of the settings' names.
pub const SETTING: &[u8] = b"EPOLYFILL_";

/// The name of the library's file, without a version suffix.
const FILE: &[u8] = b"libepolyfill.so";

/// The bits of a word, one for each setting; no process has nearly as many.
pub const MOST_SETTINGS: usize = 32;

/// The inherited part of the environment, as this process was started with it.
#[derive(Debug)]
pub struct StartEnv {
    /// `LD_PRELOAD=` and this library's entry alone.
    pub preload: &'static CStr,
    /// The path of the library.
    pub file: &'static CStr,
    /// At most [`MOST_SETTINGS`].
    pub settings: Vec<Setting>,
}

/// A setting, as `NAME=value`.
#[derive(Debug)]
pub struct Setting {
    pub entry: &'static CStr,
    /// The length of the name, with its `=`.
    name: usize,
}

impl Setting {
    /// `NAME=`.
    pub fn name(&self) -> &'static [u8] {
        &self.entry.to_bytes()[..self.name]
    }

    /// The value.
    pub fn value(&self) -> &'static [u8] {
        &self.entry.to_bytes()[self.name..]
    }
}

impl StartEnv {
    /// Whether the dynamic linker will find the library. After a chroot, or without permission, it
    /// would print an error. The linker makes this system call itself, so a seccomp filter under
    /// which programs start allows it.
    pub fn is_there(&self) -> bool {
        sys::is_readable(self.file)
    }

    /// Whether an entry of LD_PRELOAD is this library, or another copy of it.
    pub fn names(&self, entry: &[u8]) -> bool {
        names(entry, self.file.to_bytes())
    }
}

/// That part, if children are to have it.
pub fn kept() -> Option<&'static StartEnv> {
    // SAFETY: null, or a record that stays for good.
    unsafe { START_ENV.load(Acquire).as_ref() }
}

static START_ENV: AtomicPtr<StartEnv> = AtomicPtr::new(ptr::null_mut());

/// Records that part. Called once, at start-up, before the program can change its
/// environment.
pub fn keep() {
    // SAFETY: the only argument is a number.
    let is_secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    if !INTERPOSES || is_secure {
        return;
    }
    // SAFETY: at start-up no other thread changes the environment, whose strings end in NUL.
    let (entry, settings) = unsafe { (libc::getenv(c"LD_PRELOAD".as_ptr()), settings_of(exec_env::own())) };
    if entry.is_null() {
        return;
    }
    // SAFETY: as above.
    let value = unsafe { CStr::from_ptr(entry) }.to_bytes();
    let Some(file) = own_file() else { return };
    let Some(entry) = entries(value).find(|entry| names(entry, file.to_bytes())) else { return };
    if !options::serves_children() {
        // SAFETY: as above.
        unsafe { leave_children_alone(file.to_bytes()) };
        return;
    }
    let (Some(entry), Some(file), Some(settings)) = (absolute(entry), absolute(file.to_bytes()), settings) else {
        return;
    };
    let (Some(preload), Some(file)) = (joined(&[PRELOAD, &entry]), joined(&[&file])) else { return };
    if let Some(start_env) = boxed(StartEnv { preload, file, settings }) {
        START_ENV.store(start_env, Release);
    }
}

/// A copy of the record that is never freed; `None` if there is no memory.
fn boxed(start_env: StartEnv) -> Option<*mut StartEnv> {
    let mut one = Vec::new();
    one.try_reserve_exact(1).ok()?;
    one.push(start_env);
    Some(one.leak().as_mut_ptr())
}

/// The concatenated pieces as a C string that is never freed; `None` if there is no memory.
fn joined(parts: &[&[u8]]) -> Option<&'static CStr> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(parts.iter().map(|part| part.len()).sum::<usize>() + 1).ok()?;
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes.push(0);
    CStr::from_bytes_with_nul(bytes.leak()).ok()
}

/// The file that the dynamic linker loaded this library from.
fn own_file() -> Option<&'static CStr> {
    let mut found = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the address is in this library, and the structure is writable; the name belongs to
    // the dynamic linker, which never unloads this library.
    unsafe {
        let known = libc::dladdr((&raw const START_ENV).cast::<c_void>(), found.as_mut_ptr()) != 0;
        let name = found.assume_init().dli_fname;
        (known && !name.is_null()).then(|| CStr::from_ptr(name))
    }
}

/// A path that is still valid after a chdir. A name without a slash, for which the dynamic linker
/// searches, stays as it is; so does a path in a directory that LD_PRELOAD cannot name.
fn absolute(path: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    whole.try_reserve_exact(path.len() + 1 + libc::PATH_MAX as usize).ok()?;
    if path.contains(&b'/') && !matches!(path[0], b'/' | b'$') {
        whole.resize(libc::PATH_MAX as usize, 0);
        // SAFETY: the buffer has the length given.
        if unsafe { libc::getcwd(whole.as_mut_ptr().cast(), whole.len()) }.is_null() {
            return None;
        }
        let length = whole.iter().position(|byte| *byte == 0)?;
        whole.truncate(length);
        if whole.iter().any(|byte| is_separator(*byte)) { whole.clear() } else { whole.push(b'/') }
    }
    whole.extend_from_slice(path);
    Some(whole)
}

/// Copies of the EPOLYFILL_* variables; `None` if there is no memory.
///
/// # Safety
/// The strings end in NUL, their array in NULL, and no thread changes them meanwhile.
unsafe fn settings_of(environment: Strings) -> Option<Vec<Setting>> {
    let mut settings = Vec::new();
    let mut next = environment;
    // SAFETY: the caller answers for the array and its strings.
    unsafe {
        while !next.is_null() && !(*next).is_null() {
            let entry = CStr::from_ptr(*next).to_bytes();
            next = next.add(1);
            let Some(name) = entry.iter().position(|byte| *byte == b'=') else { continue };
            if entry.starts_with(SETTING)
                && entry[..name].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            {
                settings.try_reserve(1).ok()?;
                settings.push(Setting { entry: joined(&[entry])?, name: name + 1 });
            }
        }
    }
    settings.truncate(MOST_SETTINGS);
    Some(settings)
}

/// Removes the library from the environment of this process, so that children do not inherit it.
///
/// # Safety
/// Must be called at start-up, when nothing else uses the environment.
unsafe fn leave_children_alone(file: &[u8]) {
    let (mut from, mut to) = (exec_env::own().cast_mut(), exec_env::own().cast_mut());
    // SAFETY: the array ends in NULL and its strings in NUL; the writes stay within it.
    unsafe {
        while !from.is_null() && !(*from).is_null() {
            let entry = CStr::from_ptr(*from).to_bytes();
            if let Some(value) = entry.strip_prefix(PRELOAD) {
                if let Some(rest) = without_library(value, file) {
                    *to = rest.as_ptr();
                    to = to.add(1);
                }
            } else {
                *to = *from;
                to = to.add(1);
            }
            from = from.add(1);
        }
        if !to.is_null() {
            *to = ptr::null();
        }
    }
}

/// A value of LD_PRELOAD without the library, with the name of the variable in front. Empty if
/// there is no memory.
fn without_library(value: &[u8], file: &[u8]) -> Option<&'static CStr> {
    let mut rest = Vec::new();
    rest.try_reserve_exact(PRELOAD.len() + value.len() + 1).ok()?;
    rest.extend_from_slice(PRELOAD);
    for entry in entries(value).filter(|entry| !names(entry, file)) {
        if rest.len() > PRELOAD.len() {
            rest.push(b':');
        }
        rest.extend_from_slice(entry);
    }
    if rest.len() == PRELOAD.len() {
        return None;
    }
    rest.push(0);
    CStr::from_bytes_with_nul(rest.leak()).ok()
}

/// The separators of LD_PRELOAD.
fn is_separator(byte: u8) -> bool {
    matches!(byte, b':' | b' ')
}

/// The entries of a value of LD_PRELOAD.
pub fn entries(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| is_separator(*byte)).filter(|entry| !entry.is_empty())
}

/// The name of a file without its directory.
fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Whether an entry of LD_PRELOAD is this library, or another copy of it: two copies would each act
/// as the epoll of the process.
fn names(entry: &[u8], file: &[u8]) -> bool {
    let name = base(entry);
    let is_version = |rest: &[u8]| rest.is_empty() || rest[0] == b'.';
    entry == file || name == base(file) || name.strip_prefix(FILE).is_some_and(is_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_and_its_copies_are_known_by_their_names() {
        let file = b"/opt/mine.so";
        for entry in ["/opt/mine.so", "mine.so", "libepolyfill.so", "./libepolyfill.so.0", "/a b/libepolyfill.so.0.4.0"]
        {
            assert!(names(entry.as_bytes(), file), "{entry}");
        }
        for entry in ["", "libepolyfill-side.so", "libepolyfill.so2", "libepolyfill.so/other.so", "/opt/mine"] {
            assert!(!names(entry.as_bytes(), file), "{entry}");
        }
    }

    #[test]
    fn what_is_left_without_the_library_keeps_its_order() {
        let left = |value: &str| without_library(value.as_bytes(), b"/l/libepolyfill.so").map(|rest| rest.to_bytes());
        assert_eq!(left("/l/libepolyfill.so"), None);
        assert_eq!(left(" :libepolyfill.so.0:"), None);
        assert_eq!(left("a.so /l/libepolyfill.so::b.so"), Some(&b"LD_PRELOAD=a.so:b.so"[..]));
    }
}
