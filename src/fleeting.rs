//! Levels that a look takes away. Some files show a change to one look only: what changed is noted in the open file description, and
//! their poll method forgets it. The kernel's epoll looks when it adds, changes or reports a registration; this library looks more
//! often. What any of its other looks finds stays with the description until the next look that the kernel would have made, and the
//! registrations hear of it as of the wake-up that it was. Kernel counterpart: none.

use libc::c_int;

use crate::descriptors;
use crate::edge::WOKEN;
use crate::epitem::Epitem;
use crate::epstate::EpState;
use crate::events::{Bits, ERR, HUP, IN, NVAL, PRI, RDNORM, READABLE, WRITABLE};
use crate::file::File;
use crate::kind::Kind;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sys;

/// Everything that such a file can show. A look has to ask for all of it: what it does not ask for is forgotten all the same.
const ALL: Bits = READABLE | WRITABLE | PRI;

static EVER: AtomicBool = AtomicBool::new(false);

/// What a look of the kernel's would find.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// The levels.
    pub level: Bits,
    /// Those of them that the next look will not find.
    pub passing: Bits,
}

/// Takes in what a poll that the kernel's epoll would not have made found on a description. True if that was a wake-up, of which its
/// registrations are told.
pub fn found(file: &'static File, found: Bits) -> bool {
    let passes = passing(file, found) != 0;
    if passes {
        // The time first: a report that takes what is kept is not to hear of it afterwards.
        let at = file.begin_call();
        file.kept().fetch_or(u32::from(whole(found)), SeqCst);
        file.tell(WOKEN, at);
    }
    passes
}

/// The levels that the next look will not find. A setting that is gone shows its error to every look, and so does a pressure file without a
/// trigger.
fn passing(file: &File, level: Bits) -> Bits {
    let lasts = if file.kind() == Kind::Pressure { HUP | NVAL | ERR } else { HUP | NVAL };
    if level & lasts == 0 { level & file.kind().fleeting() } else { 0 }
}

/// The same of all that the last poll over the set of an instance found. True if registrations were woken that it did not find.
pub fn found_in_set(st: &EpState) -> bool {
    let mut others = false;
    let mut slot = 0;
    while st.fleeting > 0
        && let Some((at, item, bits)) = st.set.next_fired(slot)
    {
        slot = at;
        others |= found_with_others(item, bits);
    }
    others
}

/// The same of one registration.
pub fn found_on(item: &Epitem, bits: Bits) -> bool {
    item.file().is_some_and(|file| found(file, bits))
}

/// The same. True if all of several registrations were told, and have their turns in the order of that.
pub fn found_with_others(item: &Epitem, bits: Bits) -> bool {
    let is_told = found_on(item, bits) || item.has_facts();
    is_told && item.file().is_some_and(|file| file.kind().fleeting() != 0 && file.has_several_registrations())
}

/// The program itself looked at a number, and took what it found: a wake-up it was all the same.
pub fn found_by_program(fd: c_int, found: Bits) {
    if let Some(file) = descriptors::known(fd)
        && found & file.kind().fleeting() != 0
    {
        file.tell(WOKEN, file.begin_call());
    }
}

/// Whether any such file was ever registered: until then nobody need ask what the program finds.
pub fn any_yet() -> bool {
    EVER.load(Relaxed)
}

/// One is registered.
pub fn note_first() {
    EVER.store(true, Relaxed);
}

/// A look that the kernel would not make: the levels as such a look of its own would find them.
pub fn peek(file: &'static File, fd: c_int) -> Bits {
    let level = sys::level(fd, ALL);
    found(file, level);
    together(file.kept().load(SeqCst) as Bits, level)
}

/// A look that the kernel makes, too, which takes what it finds. Other registrations were woken by what it is the first to find.
pub fn take(file: &'static File, fd: c_int) -> Shown {
    let level = sys::level(fd, ALL) & !NVAL;
    found(file, level);
    let level = together(file.kept().swap(0, SeqCst) as Bits, level);
    Shown { level, passing: passing(file, level) }
}

/// What is shown with a change: a poll that sleeps does not ask for what is always there.
const fn whole(found: Bits) -> Bits {
    if found & ERR != 0 { IN | RDNORM | ERR | PRI } else { found }
}

/// What was kept, and what is there now. Beside a change the files of `/proc/sys` show no room for writes.
const fn together(kept: Bits, level: Bits) -> Bits {
    if kept & ERR != 0 && level & (ERR | HUP) == 0 { kept } else { kept | level }
}
