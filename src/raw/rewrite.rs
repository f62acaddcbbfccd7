//! The rewriting of the program's system call instructions. It happens once, before the program
//! runs, because a thread that is inside a system call returns to the instruction behind it.

use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use arrayvec::ArrayVec;
use epolyfill_sites::entries::Part;
use epolyfill_sites::{self as sites, Kind, Site};
use nix::errno::Errno;
use syscalls::{Sysno, syscall};

use super::program::Program;
use super::{callers, cancel, guest, of_c, stack, thunk};
use crate::see::{Observer, Watch};
use crate::sys;

/// The reason why nothing was rewritten, as a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no free address near enough.
    NoRoom,
    /// There are more sites than Go's runtime has.
    TooMany,
    /// There is a call that the library wants, in a form that cannot be rewritten, or no site.
    Unknown,
    /// Its C library takes the memory of its first thread from a heap by brk.
    NeedsHeap,
    /// The library was loaded into a program that runs, whose threads may be at the sites.
    Runs,
    /// The kernel refuses to make the code writable.
    Protected(Errno),
}

impl Display for Refused {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NoRoom => out.write_str("there is no free memory within 2 GiB of its code"),
            Refused::TooMany => write!(out, "it has more than {MOST_SITES} instructions of that kind"),
            Refused::Unknown => out.write_str("they are instructions of an unknown form"),
            Refused::NeedsHeap => out.write_str("its C library needs a heap by brk at its start"),
            Refused::Runs => out.write_str("the program was running when the library was loaded"),
            Refused::Protected(errno) => write!(out, "the kernel refuses to make its code writable ({errno:?})"),
        }
    }
}

/// `jmp` to a distance, `nop`.
const JUMP: u8 = 0xe9;
const JUMP_BYTES: usize = 5;
const NOP: u8 = 0x90;

/// The bytes for each stub, with the instructions from around the `syscall`.
const STUB_BYTES: usize = 192;
/// The table of the wanted numbers: a byte for each value of the low half of eax.
const TABLE_BYTES: usize = 1 << 16;
const PAGE: usize = 4096;
/// The most sites of a program. Go's runtime has ten, or four; glibc has some 160, musl some 250.
const MOST_SITES: usize = 512;

unsafe extern "C" {
    static epolyfill_raw_stub: u8;
    static epolyfill_raw_stub_table: u8;
    static epolyfill_raw_stub_next: u8;
    static epolyfill_raw_stub_count: u8;
    static epolyfill_raw_stub_thunk: u8;
    static epolyfill_raw_stub_first: u8;
    static epolyfill_raw_stub_end: u8;
    static epolyfill_raw_leave: u8;
    static epolyfill_raw_leave_next: u8;
    static epolyfill_raw_leave_end: u8;
}

/// Rewrites the program's sites, or leaves all of them as they are. Returns how many.
///
/// # Safety
/// Nothing of the program may have run yet.
pub unsafe fn rewrite(program: &Program, kind: Kind) -> Result<usize, Refused> {
    // SAFETY: as the caller says.
    let places = unsafe { find(program, kind) }?;
    let text = program.text().ok_or(Refused::Unknown)?;
    choose_save();
    let stubs = (STUB_BYTES * (places.len() + 2)).next_multiple_of(PAGE);
    let area = map_near(text, stubs + TABLE_BYTES).ok_or(Refused::NoRoom)?;
    let mut writer = Writer { at: area, table: area + stubs, exit: 0, kind };
    // SAFETY: the area is this function's, and large enough for the table and the stubs.
    let jumps: Places<Jump> = unsafe {
        writer.fill_table();
        writer.write_leave();
        writer.write_exit(area..area + stubs);
        places.iter().map(|place| writer.write_stub(place)).collect()
    };
    // SAFETY: the area is complete; nothing of the program runs.
    let done = unsafe { protect(&(area..area + stubs), EXECUTABLE).and_then(|()| divert(&jumps)) };
    if let Err(errno) = done {
        // SAFETY: no site leads there.
        unsafe { sys::unmap(area as *mut u8, stubs + TABLE_BYTES) };
        return Err(Refused::Protected(errno));
    }
    // SAFETY: the pages are the library's. A table that stays writable is as good.
    let _ = unsafe { protect(&(area + stubs..area + stubs + TABLE_BYTES), libc::PROT_READ) };
    stack::set_up();
    Watch::finds_callers_by(callers::find);
    Ok(places.len())
}

/// Makes the end of the thunk, for a program whose instructions stay as they are.
pub fn prepare(text: Range<usize>) -> Result<(), Refused> {
    choose_save();
    let area = map_near(text, PAGE).ok_or(Refused::NoRoom)?;
    let mut writer = Writer { at: area, table: 0, exit: 0, kind: Kind::Dynamic };
    // SAFETY: the page is this function's.
    unsafe {
        writer.write_leave();
        protect(&(area..area + PAGE), EXECUTABLE).map_err(Refused::Protected)?;
    }
    stack::set_up();
    Ok(())
}

/// A site in memory.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The address of the code in which the site has its offsets.
    code: usize,
    site: Site,
}

/// A site, and the stub that it has to lead to.
#[derive(Clone, Copy, Debug)]
struct Jump {
    from: Place,
    to: usize,
}

type Places<T> = ArrayVec<T, MOST_SITES>;

/// Finds the program's sites.
///
/// # Safety
/// The code must not change meanwhile.
unsafe fn find(program: &Program, kind: Kind) -> Result<Places<Place>, Refused> {
    let mut places: Places<Place> = ArrayVec::new();
    let mut starts = kind != Kind::StaticC;
    // What leads from one part of the code into another is not searched for.
    if kind == Kind::StaticC && !program.has_one_code() {
        return Err(Refused::Unknown);
    }
    // SAFETY: as the caller says.
    let parts: ArrayVec<Part, MOST_PARTS> = unsafe { program.parts() }.take(MOST_PARTS).collect();
    // SAFETY: as the caller says.
    for code in unsafe { program.code_parts() } {
        let mut found: Places<Site> = ArrayVec::new();
        for site in sites::find(code.bytes, kind) {
            found.try_push(site.map_err(|_| Refused::Unknown)?).map_err(|_| Refused::TooMany)?;
        }
        if kind == Kind::StaticC {
            sites::of_c::settle(code, &parts, &mut found).map_err(|_| Refused::Unknown)?;
            starts = starts || sites::of_c::starts_without_heap(code.bytes, &found);
        }
        for site in found {
            places.try_push(Place { code: code.bytes.as_ptr().addr(), site }).map_err(|_| Refused::TooMany)?;
        }
    }
    match () {
        () if places.is_empty() => Err(Refused::Unknown),
        () if !starts => Err(Refused::NeedsHeap),
        () => Ok(places),
    }
}

/// The most parts of a program in memory: the loader takes no more headers.
const MOST_PARTS: usize = 128;

const EXECUTABLE: i32 = libc::PROT_READ | libc::PROT_EXEC;

/// Makes the sites jump to their stubs. The code stays executable all the time: a kernel that
/// refuses pages that are written and executed does so before anything has changed.
///
/// # Safety
/// The stubs must be complete, and nothing of the program may run.
unsafe fn divert(jumps: &[Jump]) -> Result<(), Errno> {
    // SAFETY: the pages are the program's code, which stays as it is but for the sites.
    unsafe {
        for (done, jump) in jumps.iter().enumerate() {
            if let Err(errno) = protect(&jump.from.pages(), EXECUTABLE | libc::PROT_WRITE) {
                jumps[..done].iter().for_each(|jump| _ = protect(&jump.from.pages(), EXECUTABLE));
                return Err(errno);
            }
        }
        for jump in jumps {
            jump.write();
        }
        for jump in jumps {
            // Code that stays writable is as good.
            let _ = protect(&jump.from.pages(), EXECUTABLE);
        }
    }
    Ok(())
}

/// Chooses the instruction that saves the vector registers.
fn choose_save() {
    const OSXSAVE: u32 = 1 << 27;
    const XSAVEC: u32 = 1 << 1;
    let has_xsave = __cpuid(1).ecx & OSXSAVE != 0;
    let by = match has_xsave {
        true if __cpuid_count(0xd, 1).eax & XSAVEC != 0 => 0,
        true => 1,
        // Then the kernel has no wider registers than those of SSE.
        false => 2,
    };
    thunk::SAVED_BY.store(by, Relaxed);
}

impl Place {
    fn in_memory(&self, offset: usize) -> usize {
        self.code + offset
    }

    /// The pages with the bytes that are replaced.
    fn pages(&self) -> Range<usize> {
        self.in_memory(self.site.start) & !(PAGE - 1)..self.in_memory(self.site.end).next_multiple_of(PAGE)
    }

    /// Some of its bytes.
    ///
    /// # Safety
    /// They must not change as long as they are in use.
    unsafe fn original(&self, offsets: Range<usize>) -> &'static [u8] {
        // SAFETY: the code is mapped and readable; the caller answers for the rest.
        unsafe { std::slice::from_raw_parts(self.in_memory(offsets.start) as *const u8, offsets.len()) }
    }
}

impl Jump {
    /// Writes the jump over the site.
    ///
    /// # Safety
    /// The code must be writable, and must not run.
    unsafe fn write(&self) {
        let Site { start, end, .. } = self.from.site;
        let mut writer = Writer { at: self.from.in_memory(start), table: 0, exit: 0, kind: Kind::Dynamic };
        // SAFETY: a site has room for a jump.
        unsafe {
            writer.put_jump(self.to);
            while writer.at < self.from.in_memory(end) {
                writer.put(&[NOP]);
            }
        }
    }
}

/// # Safety
/// The pages must be the library's, or code that does not run.
unsafe fn protect(pages: &Range<usize>, access: i32) -> Result<(), Errno> {
    // SAFETY: the caller answers for it.
    unsafe { syscall!(Sysno::mprotect, pages.start, pages.len(), access) }
        .map(drop)
        .map_err(|errno| Errno::from_raw(errno.into_raw()))
}

/// Maps memory that a jump from the code reaches, below the code if possible: above it, the heap
/// grows.
fn map_near(code: Range<usize>, bytes: usize) -> Option<usize> {
    const STEP: usize = 64 << 10;
    const REACH: usize = 1 << 30;
    let lowest = code.end.saturating_sub(REACH).max(STEP);
    let below = (lowest..code.start.saturating_sub(bytes)).rev().step_by(STEP).map(|at| at & !(STEP - 1));
    let above = (code.end.next_multiple_of(STEP)..code.start.saturating_add(REACH)).step_by(STEP);
    below.chain(above).find(|at| map_at(*at, bytes))
}

/// Maps writable memory at an address, if there is nothing.
fn map_at(address: usize, bytes: usize) -> bool {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: the new mapping touches no other.
    match unsafe { syscall!(Sysno::mmap, address, bytes, access, kind, -1isize, 0usize) } {
        Ok(at) if at == address => true,
        // A kernel that does not know the flag takes the address as a hint.
        Ok(elsewhere) => {
            // SAFETY: the pages were mapped here.
            let _ = unsafe { syscall!(Sysno::munmap, elsewhere, bytes) };
            false
        }
        Err(_) => false,
    }
}

/// Writes the stubs, one after the other.
#[derive(Debug)]
struct Writer {
    at: usize,
    table: usize,
    /// The common end of the stubs of a guest with a C library.
    exit: usize,
    kind: Kind,
}

impl Writer {
    /// # Safety
    /// The table must be there, and writable.
    unsafe fn fill_table(&self) {
        for number in self.kind.wanted() {
            // SAFETY: the numbers are smaller than the table.
            unsafe { ((self.table + number as usize) as *mut u8).write(1) };
        }
    }

    /// # Safety
    /// There must be room, here and below.
    unsafe fn put(&mut self, bytes: &[u8]) {
        // SAFETY: the caller answers for it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at as *mut u8, bytes.len()) };
        self.at += bytes.len();
    }

    /// # Safety
    /// As for `put`.
    unsafe fn put_jump(&mut self, to: usize) {
        let distance = to.wrapping_sub(self.at + JUMP_BYTES) as u32;
        // SAFETY: the caller answers for it.
        unsafe {
            self.put(&[JUMP]);
            self.put(&distance.to_ne_bytes());
        }
    }

    /// Writes the end of the thunk.
    ///
    /// # Safety
    /// As for `put`.
    unsafe fn write_leave(&mut self) {
        let start = self.at;
        if self.kind != Kind::Dynamic {
            let leave = if self.kind == Kind::StaticC { of_c::leave() } else { guest::leave() };
            // SAFETY: the caller answers for the room.
            unsafe { self.put(&leave) };
            thunk::LEAVE.store(start, Relaxed);
            return self.align();
        }
        // SAFETY: the symbols of `thunk`, one after the other.
        unsafe {
            let [leave, next, end] = [
                &raw const epolyfill_raw_leave,
                &raw const epolyfill_raw_leave_next,
                &raw const epolyfill_raw_leave_end,
            ];
            self.put(between(leave, end));
            fill(start + (next.addr() - leave.addr()) - 4, &(stack::offset() as i32).to_ne_bytes());
        }
        thunk::LEAVE.store(start, Relaxed);
        self.align();
    }

    /// Writes the common end of the stubs, which are in this range, if they have one.
    ///
    /// # Safety
    /// As for `put`.
    unsafe fn write_exit(&mut self, stubs: Range<usize>) {
        if self.kind != Kind::StaticC {
            return;
        }
        self.exit = self.at;
        // SAFETY: the caller answers for the room.
        unsafe { self.put(&of_c::exit()) };
        cancel::set_up(stubs, self.exit..self.at);
        self.align();
    }

    /// Writes the part of a stub that stands for the `syscall`.
    ///
    /// # Safety
    /// As for `put`.
    unsafe fn put_stub(&mut self) {
        let stub = self.at;
        // SAFETY: the caller answers for the room. The stub's symbols follow one another.
        unsafe {
            let place = |symbol: *const u8| stub + (symbol.addr() - (&raw const epolyfill_raw_stub).addr());
            self.put(between(&raw const epolyfill_raw_stub, &raw const epolyfill_raw_stub_end));
            let offset = (stack::offset() as i32).to_ne_bytes();
            fill(place(&raw const epolyfill_raw_stub_table) - 8, &self.table.to_ne_bytes());
            fill(place(&raw const epolyfill_raw_stub_next) - 4, &offset);
            fill(place(&raw const epolyfill_raw_stub_count) - 4, &offset);
            fill(place(&raw const epolyfill_raw_stub_thunk), &(thunk::thunk as *const ()).addr().to_ne_bytes());
            fill(place(&raw const epolyfill_raw_stub_first), &(thunk::first as *const ()).addr().to_ne_bytes());
        }
    }

    /// Writes the stub of a site.
    ///
    /// # Safety
    /// As for `put`; the code must not change meanwhile.
    unsafe fn write_stub(&mut self, from: &Place) -> Jump {
        let (to, site) = (self.at, from.site);
        // SAFETY: the caller answers for the room and the code.
        unsafe {
            self.put(from.original(site.start..site.syscall));
            let is_last = sites::of_c::is_without_stack(from.original(0..site.syscall), &site);
            match self.kind {
                Kind::Dynamic => self.put_stub(),
                Kind::Static => self.put(&guest::stub(self.table)),
                Kind::StaticC if is_last => self.put(&of_c::last()),
                Kind::StaticC => self.put(&of_c::stub(self.table)),
            }
            self.put(from.original(site.syscall + 2..site.end));
            if self.kind == Kind::StaticC {
                self.put(&of_c::load_next(from.in_memory(site.end)));
                self.put_jump(self.exit);
            } else {
                self.put_jump(from.in_memory(site.end));
            }
        }
        self.align();
        Jump { from: *from, to }
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(16);
    }
}

/// The bytes from one symbol to another.
///
/// # Safety
/// The symbols must be of one section, in this order.
unsafe fn between(start: *const u8, end: *const u8) -> &'static [u8] {
    // SAFETY: the caller answers for it.
    unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// # Safety
/// The bytes there must be the library's, and writable.
unsafe fn fill(at: usize, bytes: &[u8]) {
    // SAFETY: the caller answers for it.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
}
