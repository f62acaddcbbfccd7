//! Instances of the kernel's epoll, as `/proc/PID/fdinfo` shows them.

use super::records::{Instance, Item};
use std::fs;
use std::os::unix::fs::MetadataExt;
use syscalls::{Sysno, syscall};

/// A registration, and the file that it is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Line {
    number: i32,
    events: u32,
    data: u64,
    inode: u64,
    device: u64,
}

/// An instance of the kernel's epoll.
#[derive(Debug)]
pub struct OfKernel {
    pub instance: Instance,
    /// The numbers of its descriptors.
    pub numbers: Vec<i32>,
    /// The registered numbers that are closed by now, or name another file.
    pub ghosts: Vec<i32>,
}

/// The instances of a process, in the order of their numbers.
pub fn instances(pid: i32) -> Vec<OfKernel> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let number = |entry: fs::DirEntry| {
        let is_epoll = fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == "anon_inode:[eventpoll]");
        entry.file_name().to_str().filter(|_| is_epoll)?.parse::<i32>().ok()
    };
    let mut numbers: Vec<i32> = entries.filter_map(number).collect();
    numbers.sort_unstable();
    let mut found: Vec<OfKernel> = Vec::new();
    for number in numbers {
        match found.iter_mut().find(|known| is_same(pid, known.instance.number, number)) {
            Some(known) => known.numbers.push(number),
            None => found.extend(instance(pid, number)),
        }
    }
    found
}

/// Whether two numbers of the process name the same open file.
fn is_same(pid: i32, one: i32, other: i32) -> bool {
    const KCMP_FILE: i32 = 0;
    // SAFETY: no pointers.
    unsafe { syscall!(Sysno::kcmp, pid, pid, KCMP_FILE, one, other) == Ok(0) }
}

fn instance(pid: i32, number: i32) -> Option<OfKernel> {
    let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).ok()?;
    let lines: Vec<Line> = text.lines().filter_map(line).collect();
    let is_ghost = |line: &&Line| {
        let file = fs::metadata(format!("/proc/{pid}/fd/{}", line.number));
        file.map_or(true, |file| (file.ino(), kernel_device(file.dev())) != (line.inode, line.device))
    };
    let ghosts = lines.iter().filter(is_ghost).map(|line| line.number).collect();
    let mut items: Vec<Item> = lines.iter().map(item).collect();
    items.sort_by_key(|item| item.number);
    Some(OfKernel { instance: Instance { number, items, ..Instance::default() }, numbers: vec![number], ghosts })
}

fn item(line: &Line) -> Item {
    // A one-shot that has fired keeps its flags only; otherwise these two are always there.
    let always = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
    let is_spent = line.events & libc::EPOLLONESHOT as u32 != 0 && line.events & always == 0;
    let events = line.events & !always;
    Item { number: line.number, via: line.number, events, data: line.data, is_spent, memory: None }
}

/// The kernel's own number of a device, which fdinfo has.
fn kernel_device(device: u64) -> u64 {
    u64::from(libc::major(device)) << 20 | u64::from(libc::minor(device))
}

/// Reads a line such as "tfd: 5 events: 19 data: 5 pos:0 ino:8 sdev:9".
fn line(text: &str) -> Option<Line> {
    let rest = text.strip_prefix("tfd:")?;
    let words: Vec<&str> = rest.split([' ', ':']).filter(|word| !word.is_empty()).collect();
    let after = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1));
    let hex = |name: &str| after(name).and_then(|word| u64::from_str_radix(word, 16).ok());
    Some(Line {
        number: words.first()?.parse().ok()?,
        events: u32::try_from(hex("events")?).ok()?,
        data: hex("data")?,
        inode: hex("ino").unwrap_or(0),
        device: hex("sdev").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_fdinfo_is_a_registration() {
        let text = "tfd:        9 events: 8000201f data:     7f00000000000009  pos:0 ino:4a2 sdev:8";
        let expected = Line { number: 9, events: 0x8000_201f, data: 0x7f00_0000_0000_0009, inode: 0x4a2, device: 8 };
        assert_eq!(line(text), Some(expected));
        assert_eq!(line("pos:\t0"), None);
        assert_eq!(line("tfd: x"), None);
    }

    #[test]
    fn a_one_shot_that_fired_has_its_flags_only() {
        assert!(item(&Line { events: libc::EPOLLONESHOT as u32, ..Line::default() }).is_spent);
        assert!(!item(&Line { events: libc::EPOLLONESHOT as u32 | 0x19, ..Line::default() }).is_spent);
    }
}
