//! Levels that a look clears. Some files show a change to a single poll: the open file description
//! records that it was shown, so the next poll does not find it. The kernel's epoll polls when it
//! adds, modifies or reports a registration; this library polls more often. If such an additional
//! look finds a level, the level is kept with the description until the next look that the kernel
//! would also make. It is a wake-up for the registrations, as on Linux. Kernel counterpart: none.

use libc::c_int;

use crate::edge::Facts;
use crate::events::{Bits, ERR, HUP, IN, NVAL, PRI, RDNORM, READABLE, WRITABLE};
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::file::{File, Fleeting};
use crate::graph::lookup;
use crate::kind::Kind;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sys;

/// All bits that such a file can show. A look has to ask for all of them, because the file also
/// forgets those that it was not asked for.
const ALL: Bits = READABLE | WRITABLE | PRI;

static EVER: AtomicBool = AtomicBool::new(false);

/// The result of a look that the kernel would make.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// The levels.
    pub level: Bits,
    /// Those of them that the next look will not find.
    pub passing: Bits,
}

/// Takes in the result of a poll that the kernel's epoll would not have made. True if it was a
/// wake-up, which is then reported to the registrations of the description.
pub fn found(file: &'static File, found: Bits) -> bool {
    let passes = passing(file, found) != 0;
    if passes {
        // The clock is read first: a report that takes the kept level must not get the fact later.
        let at = file.begin_call();
        if let Some(fleeting) = file.fleeting() {
            fleeting.keep(whole(found));
        }
        file.tell(Facts::WAKE_ALL, at);
    }
    passes
}

/// The levels that the next look will not find. A setting that was removed shows EPOLLERR to every
/// look, and so does a pressure file without a trigger.
fn passing(file: &File, level: Bits) -> Bits {
    let lasts = if file.kind() == Kind::Pressure { HUP | NVAL | ERR } else { HUP | NVAL };
    if level & lasts == 0 { level & file.kind().fleeting() } else { 0 }
}

/// As [`found`], for the last poll over the set of an instance. True if it woke registrations that
/// it did not find itself.
pub fn found_in_set(st: &EpState) -> bool {
    let mut others = false;
    let mut slot = 0;
    while st.items.fleeting > 0
        && let Some((at, item, bits)) = st.backend.set.next_fired(slot)
    {
        slot = at;
        others |= found_with_others(item, bits);
    }
    others
}

/// As [`found`], for one registration.
pub fn found_on(item: &Epitem, bits: Bits) -> bool {
    item.file().is_some_and(|file| found(file, bits))
}

/// As [`found_on`]. True if a file with several registrations had a wake-up: they must be reported
/// in the order of that wake-up.
pub fn found_with_others(item: &Epitem, bits: Bits) -> bool {
    let is_told = found_on(item, bits) || item.has_facts();
    is_told && item.file().is_some_and(|file| file.kind().fleeting() != 0 && file.has_several_registrations())
}

/// Takes in a poll by the program itself, which took the level that it found. That was still a
/// wake-up.
pub fn found_by_program(fd: c_int, found: Bits) {
    if let Some(file) = lookup::known(fd)
        && found & file.kind().fleeting() != 0
    {
        file.tell(Facts::WAKE_ALL, file.begin_call());
    }
}

/// Whether any such file was ever registered. Until then the program's polls need no check.
pub fn any_yet() -> bool {
    EVER.load(Relaxed)
}

/// Notes that such a file is registered.
pub fn note_first() {
    EVER.store(true, Relaxed);
}

/// Makes a look that the kernel would not make. Returns the levels that a look of the kernel would
/// find.
pub fn peek(file: &'static File, fd: c_int) -> Bits {
    let level = sys::level(fd, ALL);
    found(file, level);
    together(file.fleeting().map_or(0, Fleeting::kept), level)
}

/// Makes a look that the kernel also makes, which takes the levels that it finds. If it is the
/// first to find a change, that is a wake-up for the other registrations.
pub fn take(file: &'static File, fd: c_int) -> Shown {
    let level = sys::level(fd, ALL) & !NVAL;
    found(file, level);
    let level = together(file.fleeting().map_or(0, Fleeting::take_kept), level);
    Shown { level, passing: passing(file, level) }
}

/// All bits that a change shows. A sleeping poll does not ask for those that are always set.
const fn whole(found: Bits) -> Bits {
    if found & ERR != 0 { IN | RDNORM | ERR | PRI } else { found }
}

/// The kept levels and the current ones. The files of `/proc/sys` do not show EPOLLOUT with a
/// change.
const fn together(kept: Bits, level: Bits) -> Bits {
    if kept & ERR != 0 && level & (ERR | HUP) == 0 { kept } else { kept | level }
}
