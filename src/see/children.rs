//! Forked children, in pages that the children share: a child enters itself, because the parent is
//! not told its id.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::log::Line;
use crate::sys;

/// The most children that are remembered; later ones replace the first.
const MOST: usize = 255;

struct Child {
    /// The process id in the low half, and its parent's in the high half.
    ids: AtomicU64,
    ns: AtomicU64,
}

struct Table {
    next: AtomicU64,
    children: [Child; MOST],
}

static TABLE: OnceLock<&'static Table> = OnceLock::new();

/// Makes the table. Called once, at start-up.
pub fn set_up() {
    if let Ok(pages) = sys::map_for_children(size_of::<Table>()) {
        // SAFETY: pages of zeroes, large enough, which are never unmapped; all fields are atomic.
        let _ = TABLE.set(unsafe { &*pages.cast::<Table>() });
    }
}

/// Enters this process, a forked child.
pub fn enter(parent: i32) {
    let Some(table) = TABLE.get() else { return };
    let child = &table.children[table.next.fetch_add(1, Relaxed) as usize % MOST];
    child.ids.store(0, Relaxed);
    child.ns.store(sys::now(), Relaxed);
    child.ids.store(u64::from(sys::getpid() as u32) | u64::from(parent as u32) << 32, Release);
}

/// A child of this process that was forked at this time or later, lives, and runs the same program.
pub fn living(since_ns: u64) -> Option<i32> {
    let table = TABLE.get()?;
    let own = sys::getpid() as u32;
    table.children.iter().find_map(|child| {
        let ids = child.ids.load(Acquire);
        let (pid, parent) = (ids as u32, (ids >> 32) as u32);
        let is_it = pid != 0 && parent == own && child.ns.load(Relaxed) >= since_ns && runs_the_same(pid);
        is_it.then_some(pid as i32)
    })
}

/// Whether the process has not executed another program, and has not ended.
fn runs_the_same(pid: u32) -> bool {
    let mut path = Line::<40>::new();
    path.text("/proc/").number(pid.into()).text("/exe\0");
    let (mut own, mut other) = ([0; 512], [0; 512]);
    match (sys::link(b"/proc/self/exe\0", &mut own), sys::link(path.as_bytes(), &mut other)) {
        (Ok(own), Ok(other)) => own == other,
        _ => false,
    }
}
