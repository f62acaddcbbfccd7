//! The limits of nesting: no cycle, at most five instances in a chain, and a limit on the paths
//! from one file (N3). Kernel counterparts: `ep_loop_check` and `reverse_path_check`.

use nix::errno::Errno;

use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::File;
use crate::graph::ranks;
use crate::lock::{Guard, Lock};

/// Held while a link between instances is added, so that two threads cannot close a cycle together.
/// Taken before every other lock.
#[doc(alias = "epnested_mutex")]
pub static LINKS: Lock<()> = Lock::new(ranks::LINKS, ());

/// The most links in a chain of instances.
#[doc(alias = "EP_MAX_NESTS")]
const LONGEST_CHAIN: usize = 4;

/// The most paths from one file up to an unwatched instance, by the number of links between
/// instances on the path. A file may be in any number of instances that are in no other.
#[doc(alias = "path_limits")]
const PATHS: [usize; LONGEST_CHAIN + 1] = [usize::MAX, 500, 100, 50, 10];

/// A link that is about to be made: the watched instance, and the one that will watch it.
type Link = (&'static Eventpoll, &'static Eventpoll);

/// Keeps the links between instances as they are.
pub fn lock_links() -> Guard<'static, ()> {
    LINKS.lock()
}

/// ELOOP if `inner` in `outer` would close a cycle, or make too long a chain. The result holds as
/// long as the guard.
pub fn check(outer: &'static Eventpoll, inner: &'static Eventpoll) -> Result<Guard<'static, ()>, Errno> {
    let links = lock_links();
    let below = depth_below(inner, outer, 0)?;
    let above = height_above(outer, 0)?;
    if below + 1 + above > LONGEST_CHAIN { Err(Errno::ELOOP) } else { Ok(links) }
}

fn depth_below(ep: &'static Eventpoll, forbidden: &'static Eventpoll, level: usize) -> Result<usize, Errno> {
    if std::ptr::eq(ep, forbidden) || level > LONGEST_CHAIN {
        return Err(Errno::ELOOP);
    }
    let children =
        gather(ep.lock().items.interest.iter().filter_map(|item| item.get().file().and_then(File::eventpoll)))?;
    children.into_iter().try_fold(0, |deepest, child| Ok(deepest.max(1 + depth_below(child, forbidden, level + 1)?)))
}

fn height_above(ep: &'static Eventpoll, level: usize) -> Result<usize, Errno> {
    if level > LONGEST_CHAIN {
        return Err(Errno::ELOOP);
    }
    let parents = watchers_of(ep)?;
    parents.into_iter().try_fold(0, |highest, parent| Ok(highest.max(1 + height_above(parent, level + 1)?)))
}

/// EINVAL if `inner` in `outer` would give a file below `inner` too many paths. The caller holds
/// the guard of `check`.
pub fn check_paths_below(outer: &'static Eventpoll, inner: &'static Eventpoll) -> Result<(), Errno> {
    count_below(inner, (inner, outer))
}

fn count_below(ep: &'static Eventpoll, link: Link) -> Result<(), Errno> {
    let below = gather(ep.lock().items.interest.iter().filter_map(|item| item.get().file()))?;
    below.into_iter().try_for_each(|file| match file.eventpoll() {
        Some(deeper) => count_below(deeper, link),
        None => count_paths(file, None, Some(link)),
    })
}

/// EINVAL if `file` in `ep` would have too many paths. The result holds as long as the guard; an
/// unwatched instance needs none.
pub fn check_paths(ep: &'static Eventpoll, file: &'static File) -> Result<Option<Guard<'static, ()>>, Errno> {
    if ep.file().is_none_or(|own| own.graph().is_unwatched()) {
        return Ok(None);
    }
    let links = lock_links();
    count_paths(file, Some(ep), None)?;
    Ok(Some(links))
}

fn count_paths(file: &'static File, added_to: Option<&'static Eventpoll>, link: Option<Link>) -> Result<(), Errno> {
    let watching = gather(file.graph().items().filter_map(|item| item.eventpoll()))?;
    let mut counts = [0; LONGEST_CHAIN + 1];
    watching.into_iter().chain(added_to).try_for_each(|ep| count_up(ep, 0, &mut counts, link))
}

fn count_up(
    ep: &'static Eventpoll,
    links: usize,
    counts: &mut [usize; LONGEST_CHAIN + 1],
    link: Option<Link>,
) -> Result<(), Errno> {
    let (count, limit) = counts.get_mut(links).zip(PATHS.get(links)).ok_or(Errno::EINVAL)?;
    let outer = watchers_of(ep)?;
    let added = link.filter(|(inner, _)| std::ptr::eq(*inner, ep)).map(|(_, outer)| outer);
    if outer.is_empty() && added.is_none() {
        *count += 1;
        return if *count > *limit { Err(Errno::EINVAL) } else { Ok(()) };
    }
    outer.into_iter().chain(added).try_for_each(|outer| count_up(outer, links + 1, counts, link))
}

/// The instances that `ep` is registered in.
fn watchers_of(ep: &'static Eventpoll) -> Result<Vec<&'static Eventpoll>, Errno> {
    match ep.file() {
        Some(file) => gather(file.graph().items().filter_map(|item| item.eventpoll())),
        None => Ok(Vec::new()),
    }
}

/// Collects records that are to be visited after their lock is released. ENOMEM where `collect`
/// would abort the process.
pub fn gather<T>(records: impl Iterator<Item = &'static T>) -> Result<Vec<&'static T>, Errno> {
    let mut gathered = Vec::new();
    for record in records {
        gathered.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        gathered.push(record);
    }
    Ok(gathered)
}
