//! The environment of the programs that this process executes.
//!
//! A served program's children stay served even if it clears the environment. A program that it
//! executes gets, in addition to the environment that is passed, the entry of LD_PRELOAD that
//! loaded this library and the EPOLYFILL_* settings, as they were when this process started.
//! Nothing is added if the library was loaded because of linking or `/etc/ld.so.preload`, or in
//! secure-execution mode.
//!
//! Everything after start-up works in signal handlers and in vfork children, which share this
//! process's memory: it takes no lock, allocates nothing that outlives the call, and changes no
//! state.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use libc::{c_char, c_int};
use nix::errno::Errno;

use crate::facts;
use crate::life::start_env::{self, PRELOAD, SETTING, Setting, StartEnv};
use crate::preload::{self, Place};
use crate::settings;
use crate::sys;
use crate::uaccess;

pub use crate::real::Strings;

const CHILDREN: &[u8] = b"EPOLYFILL_CHILDREN=";

/// The longest string of an environment that the kernel takes, with its NUL.
const LONGEST: usize = 32 * 4096;

unsafe extern "C" {
    static mut environ: Strings;
}

/// The environment of this process, as it is now.
pub fn own() -> Strings {
    // SAFETY: a word that libc and the program write whole.
    unsafe { (&raw const environ).read_volatile() }
}

/// A callback for a variable, as `NAME=` and the pieces of its value.
type ForVariable<'a> = dyn FnMut(&[u8], &[&[u8]]) + 'a;

/// Of several LD_PRELOAD entries, the dynamic linker of musl takes the first, and that of glibc the
/// last.
const FIRST_COUNTS: bool = cfg!(target_env = "musl");

/// The variables that an environment of the program lacks.
#[derive(Debug)]
struct Lack {
    start_env: &'static StartEnv,
    environment: Strings,
    /// The number of its entries.
    count: usize,
    /// The value of its effective LD_PRELOAD entry.
    preload: Option<(usize, &'static [u8])>,
    /// The place for the library in LD_PRELOAD; `None` if it is already there.
    place: Option<Place<'static>>,
    /// The settings to add, one bit each.
    settings: u32,
}

/// Whether a string of the program begins like this. EFAULT as in [`uaccess::read`].
unsafe fn begins(string: *const c_char, with: &[u8]) -> Result<bool, Errno> {
    for (at, byte) in with.iter().enumerate() {
        // SAFETY: the caller answers for the string, and it has not ended.
        if unsafe { uaccess::read(string.cast::<u8>().wrapping_add(at)) }? != *byte {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The rest of a string of the program. EFAULT as in [`uaccess::read`]; E2BIG if it is longer than the
/// kernel takes.
unsafe fn rest(string: *const c_char, from: usize) -> Result<&'static [u8], Errno> {
    let start = string.cast::<u8>().wrapping_add(from);
    for length in 0..LONGEST {
        // SAFETY: the caller answers for the string, and it has not ended.
        if unsafe { uaccess::read(start.wrapping_add(length)) }? == 0 {
            // SAFETY: each byte has just been read. The string is used until the call is over, as
            // the kernel would do.
            return Ok(unsafe { std::slice::from_raw_parts(start, length) });
        }
    }
    Err(Errno::E2BIG)
}

/// Finds the variables that an environment lacks. `None` if it lacks none, if it is to be left
/// unchanged, or if it cannot be read: the kernel then reports the error.
///
/// # Safety
/// As for the environment of execve.
unsafe fn lack(environment: Strings) -> Option<Lack> {
    let start_env = start_env::kept()?;
    // SAFETY: the caller answers for the environment.
    let lack = unsafe { Lack::of(start_env, environment) }.ok().flatten()?;
    ((lack.place.is_some() || lack.settings != 0) && start_env.is_there()).then_some(lack)
}

impl Lack {
    /// `None` if the environment asks to be left unchanged.
    unsafe fn of(start_env: &'static StartEnv, environment: Strings) -> Result<Option<Lack>, Errno> {
        let all = ((1u64 << start_env.settings.len()) - 1) as u32;
        let place = |value| preload::place(value, |entry| start_env.names(entry));
        let mut lack = Lack { start_env, environment, count: 0, preload: None, place: place(b""), settings: all };
        if environment.is_null() {
            return Ok(Some(lack));
        }
        loop {
            // SAFETY: the caller answers for the array, which has not ended.
            let string = unsafe { uaccess::read(environment.wrapping_add(lack.count)) }?;
            if string.is_null() {
                break;
            }
            // SAFETY: the caller answers for its strings.
            unsafe {
                if begins(string, PRELOAD)? && (lack.preload.is_none() || !FIRST_COUNTS) {
                    lack.preload = Some((lack.count, rest(string, PRELOAD.len())?));
                } else if begins(string, SETTING)? {
                    if begins(string, CHILDREN)? && settings::switch(rest(string, CHILDREN.len())?) == Some(false) {
                        return Ok(None);
                    }
                    for (index, setting) in start_env.settings.iter().enumerate() {
                        if begins(string, setting.name())? {
                            lack.settings &= !(1 << index);
                        }
                    }
                }
            }
            lack.count += 1;
        }
        if let Some((_, value)) = lack.preload {
            lack.place = place(value);
        }
        Ok(Some(lack))
    }

    /// LD_PRELOAD with the library added to the program's entries, if it has to change.
    fn merged(&self) -> Option<[&'static [u8]; 6]> {
        self.place.map(|place| place.with(&self.start_env.preload.to_bytes()[PRELOAD.len()..]))
    }

    /// The length of that string, with its NUL; 0 if LD_PRELOAD does not change, or is the
    /// library's entry alone.
    fn merged_bytes(&self) -> usize {
        match self.preload.and(self.merged()) {
            Some(pieces) => PRELOAD.len() + pieces.iter().map(|piece| piece.len()).sum::<usize>() + 1,
            None => 0,
        }
    }

    /// The missing settings.
    fn settings(&self) -> impl Iterator<Item = &'static Setting> {
        let (start_env, wanted) = (self.start_env, self.settings);
        let is_wanted = move |index: &usize| wanted & 1 << index != 0;
        (0..start_env.settings.len()).filter(is_wanted).map(|index| &start_env.settings[index])
    }

    /// The number of words of the whole environment.
    fn words(&self) -> usize {
        let own = usize::from(self.place.is_some() && self.preload.is_none());
        self.count + own + self.settings.count_ones() as usize + 1 + self.merged_bytes().div_ceil(size_of::<usize>())
    }

    /// Writes the whole environment, followed by the one string that is new.
    ///
    /// # Safety
    /// `room` has as many words as `words` says, and the program's array is as it was.
    unsafe fn write(&self, room: *mut *const c_char) {
        // SAFETY: the caller answers for the room, and for the array, which was read before.
        unsafe {
            let mut end = room.add(self.count);
            if self.count > 0 {
                room.copy_from_nonoverlapping(self.environment, self.count);
            }
            if self.place.is_some() && self.preload.is_none() {
                end.write(self.start_env.preload.as_ptr());
                end = end.add(1);
            }
            for setting in self.settings() {
                end.write(setting.entry.as_ptr());
                end = end.add(1);
            }
            end.write(ptr::null());
            let Some(((index, _), pieces)) = self.preload.zip(self.merged()) else { return };
            let string = end.add(1).cast::<u8>();
            let mut to = string;
            for piece in [PRELOAD].into_iter().chain(pieces).chain([&b"\0"[..]]) {
                to.copy_from_nonoverlapping(piece.as_ptr(), piece.len());
                to = to.add(piece.len());
            }
            room.add(index).write(string.cast());
        }
    }

    /// Calls `each` with each missing variable.
    fn for_each(&self, each: &mut ForVariable) {
        if let Some(pieces) = self.merged() {
            each(PRELOAD, &pieces);
        }
        for setting in self.settings() {
            each(setting.name(), &[setting.value()]);
        }
    }
}

/// Makes a call that executes a program, with the program's environment and the variables that it
/// lacks. `is_too_big` returns whether the call failed with E2BIG. In that case, and if there is no
/// memory for the new environment, the call is made with the environment unchanged, so that the
/// kernel's limits remain those of the program.
///
/// # Safety
/// As for the environment of execve.
pub unsafe fn pass_on(environment: Strings, call: &dyn Fn(Strings) -> c_int, is_too_big: fn(c_int) -> bool) -> c_int {
    // SAFETY: the caller answers for the environment.
    let Some(lack) = (unsafe { lack(environment) }) else { return call(environment) };
    let answer = in_room(lack.words(), &|room| {
        // SAFETY: the room is as large as requested.
        unsafe { lack.write(room.cast()) };
        call(room.cast_const().cast())
    });
    match answer {
        Some(answer) if !is_too_big(answer) => answer,
        _ => call(environment),
    }
}

/// Words on the stack, few enough for a small signal stack.
const SMALL: usize = 192;
/// Words that a vfork child takes from its parent's stack, or from a small one that was passed to
/// clone. A mapping made by the child instead would stay with the parent after the exec.
const LARGE: usize = 2048;

/// A call that needs room for words.
pub type InRoom<'a> = &'a dyn Fn(*mut usize) -> c_int;

/// Calls `call` with room for `words` words; `None` if there is no room.
pub fn in_room(words: usize, call: InRoom) -> Option<c_int> {
    if words <= SMALL {
        return Some(on_stack::<SMALL>(call));
    }
    if words <= LARGE && facts::is_another() {
        return Some(on_stack::<LARGE>(call));
    }
    in_mapping(words * size_of::<usize>(), |pages| call(pages.cast()))
}

#[inline(never)]
fn on_stack<const WORDS: usize>(call: InRoom) -> c_int {
    let mut room = MaybeUninit::<[usize; WORDS]>::uninit();
    call(room.as_mut_ptr().cast())
}

/// Calls `call` with a mapping of its own; `None` if there is no memory.
fn in_mapping<R>(bytes: usize, call: impl FnOnce(*mut u8) -> R) -> Option<R> {
    /// The kernel may give one thread the pages that another one unmapped, and orders the two. Race
    /// detectors do not see this order; this word shows it to them.
    static HANDED_ON: AtomicU32 = AtomicU32::new(0);
    let pages = sys::map(bytes).ok()?;
    HANDED_ON.load(Acquire);
    let answer = call(pages);
    HANDED_ON.fetch_add(1, Release);
    // SAFETY: the call is over, and nothing else refers to the pages.
    unsafe { sys::unmap(pages, bytes) };
    Some(answer)
}

/// Calls `call` with a shell command line that exports the variables which the environment of this
/// process lacks, followed by `command`; or with `command` alone if nothing is missing, or if there
/// is no room. libc starts that shell by internal calls, with the environment of the process, which
/// the library must not change: other threads may be reading it.
///
/// # Safety
/// `command` must be a C string or NULL.
pub unsafe fn with_shell_line<R>(command: *const c_char, call: impl Fn(*const c_char) -> R) -> R {
    // SAFETY: the environment is the process's own; the caller answers for the command.
    let found = unsafe { if command.is_null() { None } else { lack(own()).zip(rest(command, 0).ok()) } };
    let Some((lack, command_bytes)) = found else { return call(command) };
    let mut length = 0;
    shell_line(&lack, command_bytes, &mut |piece| length += piece.len());
    if length > LONGEST {
        return call(command);
    }
    let answer = in_mapping(length, |room| {
        let mut to = room;
        shell_line(&lack, command_bytes, &mut |piece| {
            // SAFETY: the pieces are those that were added up.
            unsafe {
                to.copy_from_nonoverlapping(piece.as_ptr(), piece.len());
                to = to.add(piece.len());
            }
        });
        call(room.cast_const().cast())
    });
    answer.unwrap_or_else(|| call(command))
}

/// The pieces of that line, with its NUL.
fn shell_line(lack: &Lack, command: &[u8], write: &mut dyn FnMut(&[u8])) {
    write(b"export");
    lack.for_each(&mut |name, value| {
        write(b" ");
        write(name);
        write(b"'");
        for piece in value {
            for (index, part) in piece.split(|byte| *byte == b'\'').enumerate() {
                write(if index > 0 { b"'\\''" } else { b"" });
                write(part);
            }
        }
        write(b"'");
    });
    write(b"; ");
    write(command);
    write(b"\0");
}
