//! The library in the memory of a process: found by its ELF note (`epolyfill_environment::anchor`).

use super::memory::{Mapping, Memory};
use epolyfill_environment::anchor::{
    Anchor, DISTANCE_BYTES, OWNER, OWNER_BYTES, PLACES, Place, ROOTS, Root, TYPE, VERSION,
};
use std::mem::offset_of;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// More program headers, or longer notes, than any library has.
const MOST_HEADERS: usize = 512;
const MOST_NOTES: u64 = 1 << 16;

/// The library, as its anchor describes it.
#[derive(Debug)]
pub struct Library {
    pub path: String,
    /// Its version.
    pub release: String,
    roots: [u64; ROOTS],
    table: [u16; PLACES],
}

/// The result of a search.
#[derive(Debug)]
pub enum Found {
    Library(Library),
    /// A library whose records this launcher does not know: its version.
    Foreign(String),
}

impl Library {
    /// The address of a pool.
    pub fn root(&self, root: Root) -> u64 {
        self.roots[root as usize]
    }

    /// The offset of a field.
    pub fn at(&self, place: Place) -> usize {
        usize::from(self.table[place as usize])
    }

    #[cfg(test)]
    pub fn of(roots: [u64; ROOTS], table: [u16; PLACES]) -> Library {
        Library { path: String::new(), release: String::new(), roots, table }
    }
}

/// The libraries among the mapped files. There can be several, of which one serves the program.
pub fn find(memory: &impl Memory, mappings: &[Mapping]) -> Vec<Found> {
    mappings.iter().filter_map(|mapping| in_file(memory, mapping)).collect()
}

/// The anchor of a mapped file, if it has one.
fn in_file(memory: &impl Memory, mapping: &Mapping) -> Option<Found> {
    let header = memory.bytes(mapping.start, 64)?;
    if !header.starts_with(b"\x7fELF\x02") {
        return None;
    }
    let (table, size, count) = (double(&header, 32)?, half(&header, 54)?, half(&header, 56)?);
    if size < 56 || count > MOST_HEADERS {
        return None;
    }
    let headers = memory.bytes(mapping.start.checked_add(table)?, size * count)?;
    let headers = || headers.chunks_exact(size);
    let is = |header: &[u8], kind: u32| word(header, 0) == Some(kind);
    // The segment that the beginning of the file belongs to gives the base.
    let first = headers().find(|header| is(header, PT_LOAD) && double(header, 8) == Some(0))?;
    let base = mapping.start.wrapping_sub(double(first, 16)?);
    headers().filter(|header| is(header, PT_NOTE)).find_map(|header| {
        let (address, size, align) = (double(header, 16)?, double(header, 40)?, double(header, 48)?);
        let notes = memory.bytes(base.wrapping_add(address), usize::try_from(size.min(MOST_NOTES)).ok()?)?;
        let distance = in_notes(&notes, if align == 8 { 8 } else { 4 })?;
        let mut anchor = [0; size_of::<Anchor<u64>>()];
        let length = memory.read_up_to(base.wrapping_add(address).wrapping_add(distance), &mut anchor);
        decode(&anchor[..length], &mapping.path)
    })
}

/// The distance from the beginning of the notes to the anchor, by the library's note among others.
fn in_notes(notes: &[u8], align: usize) -> Option<u64> {
    let mut rest = notes;
    loop {
        let (owner, size) = (word(rest, 0)? as usize, word(rest, 4)? as usize);
        let contents = 12 + owner;
        let contents = contents.next_multiple_of(align);
        let end = contents.checked_add(size)?;
        if word(rest, 8)? == TYPE && owner == OWNER_BYTES as usize && rest.get(12..12 + owner)? == &OWNER[..owner] {
            let at = (notes.len() - rest.len() + contents) as u64;
            return (size == DISTANCE_BYTES as usize).then_some(at.wrapping_add(double(rest, contents)?));
        }
        rest = rest.get(end.next_multiple_of(align)..)?;
    }
}

fn decode(anchor: &[u8], path: &str) -> Option<Found> {
    type Layout = Anchor<u64>;
    let release = anchor.get(offset_of!(Layout, release)..)?.first_chunk::<16>()?;
    let release = String::from_utf8_lossy(release).trim_end_matches('\0').to_owned();
    let version = word(anchor, offset_of!(Layout, version))?;
    let places = word(anchor, offset_of!(Layout, places))? as usize;
    if version != VERSION || places != PLACES {
        return Some(Found::Foreign(release));
    }
    let mut roots = [0; ROOTS];
    for (at, root) in roots.iter_mut().enumerate() {
        *root = double(anchor, offset_of!(Layout, roots) + 8 * at)?;
    }
    let mut table = [0; PLACES];
    for (at, place) in table.iter_mut().enumerate() {
        *place = half(anchor, offset_of!(Layout, table) + 2 * at)? as u16;
    }
    Some(Found::Library(Library { path: path.to_owned(), release, roots, table }))
}

fn half(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().map(|half| usize::from(u16::from_ne_bytes(*half)))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

fn double(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|double| u64::from_ne_bytes(*double))
}
