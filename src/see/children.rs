//! Forked children, in pages that the children share: a child enters itself, because the parent is
//! not told its id.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use libc::c_int;
use nix::errno::Errno;

use crate::log::Line;
use crate::sys;

/// The most children that are remembered; later ones replace the first.
const MOST: usize = 255;
/// The most that are asked for a number.
const MOST_ASKED: usize = 32;

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

/// The children of this process that were forked at this time or later, the latest first.
fn since(ns: u64) -> impl Iterator<Item = i32> {
    let own = sys::getpid() as u32;
    let table = TABLE.get();
    let next = table.map_or(0, |table| table.next.load(Relaxed) as usize);
    (0..MOST).filter_map(move |back| {
        let child = &table?.children[(next + MOST * 2 - 1 - back) % MOST];
        let ids = child.ids.load(Acquire);
        let (pid, parent) = (ids as u32, (ids >> 32) as u32);
        (pid != 0 && parent == own && child.ns.load(Relaxed) >= ns).then_some(pid as i32)
    })
}

/// A child of this process that was forked at this time or later, lives, and runs the same program.
pub fn living(since_ns: u64) -> Option<i32> {
    since(since_ns).find(|child| runs_the_same(*child))
}

/// Such a child that has this number open as the same file.
pub fn holder(fd: c_int, since_ns: u64) -> Option<i32> {
    since(since_ns).take(MOST_ASKED).find(|child| holds(*child, fd) && runs_the_same(*child))
}

/// Whether a child runs the same program, and has the number open.
pub fn still_holds(child: i32, fd: c_int) -> bool {
    sys::link(path_of_number(Some(child), fd).as_bytes(), &mut [0; 16]).is_ok() && runs_the_same(child)
}

/// Whether a child has the number open as the same open file description as this process.
fn holds(child: i32, fd: c_int) -> bool {
    sys::is_description_of(child, fd).unwrap_or_else(|| has_the_same_links(child, fd))
}

/// What `holds` is, if the kernel refuses to compare: sockets and pipes have an inode of their own,
/// an eventfd has an id. Other files are not told apart.
fn has_the_same_links(child: i32, fd: c_int) -> bool {
    let (mut own, mut other) = ([0; 64], [0; 64]);
    let paths = [path_of_number(None, fd), path_of_number(Some(child), fd)];
    let links = (sys::link(paths[0].as_bytes(), &mut own), sys::link(paths[1].as_bytes(), &mut other));
    let (Ok(own), Ok(other)) = links else { return false };
    let has_inode = own.starts_with(b"socket:") || own.starts_with(b"pipe:");
    own == other && (has_inode || own.ends_with(b"[eventfd]")) && has_the_same_info(child, fd)
}

/// Whether the end of the pipe, or the eventfd, is the same one.
fn has_the_same_info(child: i32, fd: c_int) -> bool {
    let (mut own, mut other) = ([0; 512], [0; 512]);
    let texts = (info(None, fd, &mut own), info(Some(child), fd, &mut other));
    let (Ok(own), Ok(other)) = texts else { return false };
    // The last digit has the access mode; O_CLOEXEC, of another, is the number's.
    let access = |text| field(text, b"flags:").and_then(<[u8]>::last);
    access(own) == access(other) && field(own, b"eventfd-id:") == field(other, b"eventfd-id:")
}

fn info(child: Option<i32>, fd: c_int, buffer: &mut [u8]) -> Result<&[u8], Errno> {
    let mut path = Line::<64>::new();
    directory(&mut path, child).text("/fdinfo/").number(fd.into()).text("\0");
    sys::read_file(path.as_bytes(), buffer)
}

fn field<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name)).map(<[u8]>::trim_ascii)
}

/// The path of the link of a number, of this process or of a child.
fn path_of_number(child: Option<i32>, fd: c_int) -> Line<64> {
    let mut path = Line::new();
    directory(&mut path, child).text("/fd/").number(fd.into()).text("\0");
    path
}

fn directory(path: &mut Line<64>, process: Option<i32>) -> &mut Line<64> {
    match process {
        Some(pid) => path.text("/proc/").number(pid.into()),
        None => path.text("/proc/thread-self"),
    }
}

/// Whether the process has not executed another program, and has not ended.
fn runs_the_same(pid: i32) -> bool {
    let mut path = Line::<40>::new();
    path.text("/proc/").number(pid.into()).text("/exe\0");
    let (mut own, mut other) = ([0; 512], [0; 512]);
    match (sys::link(b"/proc/self/exe\0", &mut own), sys::link(path.as_bytes(), &mut other)) {
        (Ok(own), Ok(other)) => own == other,
        _ => false,
    }
}
