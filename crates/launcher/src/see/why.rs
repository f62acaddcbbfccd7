//! `--why` and `--counts`: a running process that was not prepared for it. Its memory has the
//! library's records, `/proc` its threads, and copies of its descriptors their state.
//!
//! | module | content |
//! |---|---|
//! | `memory` | the memory of the process, and the right to read it |
//! | `anchor` | the library in it |
//! | `records` | the library's records |
//! | `kernel` | instances of the kernel's own epoll |
//! | `threads` | the threads |
//! | `descriptor` | a look at a descriptor |
//! | `verdict` | what keeps a registration from being reported |
//! | `away` | threads that are not in a wait |
//! | `text`, `counts` | the output |

mod anchor;
mod away;
mod counts;
mod descriptor;
mod kernel;
mod memory;
mod records;
#[cfg(test)]
mod synthetic;
mod text;
mod threads;
mod verdict;

use crate::failure::{Failure, reason};
use anchor::{Found, Library};
use descriptor::Descriptors;
use memory::{Memory, OfProcess, Target};
use nix::time::{ClockId, clock_gettime};
use records::{Limit, Reader, Records, Waiter};
use std::fmt::Write;
use std::time::{Duration, Instant};
use text::{Explained, Registration, Wait};
use threads::Thread;

/// Finds the library that serves the process.
fn library(target: &Target) -> Result<Library, Failure> {
    let pid = target.pid;
    let mut foreign = None;
    let mut found: Option<Library> = None;
    for candidate in anchor::find(&target.memory, &target.mappings) {
        match candidate {
            Found::Foreign(release) => foreign = Some(release),
            Found::Library(library) => {
                let is_in_use = Reader { memory: &target.memory, library: &library }.is_in_use();
                if is_in_use || found.is_none() {
                    found = Some(library);
                }
            }
        }
    }
    match (found, foreign) {
        (Some(library), _) => Ok(library),
        (None, Some(release)) => Err(Failure::own(format!(
            "process {pid} has epolyfill {release}, whose records epolyfill {} cannot read; use the launcher of that \
             version",
            env!("CARGO_PKG_VERSION")
        ))),
        (None, None) => {
            Err(Failure::own(format!("process {pid} ({}) does not have the epolyfill library", target.name)))
        }
    }
}

/// Explains what a process waits for.
pub fn explain(pid: i32) -> Result<String, Failure> {
    let target = Target::open(pid)?;
    let library = library(&target)?;
    let reader = Reader { memory: &target.memory, library: &library };
    let descriptors = Descriptors::of(pid).map_err(|errno| {
        Failure::own(format!("the descriptors of process {pid} cannot be copied: {}", reason(errno)))
    })?;
    let time = monotonic();
    let before = survey(&target, &reader, &descriptors);
    std::thread::sleep(BETWEEN);
    let mut survey = survey(&target, &reader, &descriptors);
    for earlier in before.instances {
        if let Some(instance) = survey.instances.iter_mut().find(|instance| instance.number == earlier.number) {
            instance.compare(earlier, time);
        }
    }
    let now = monotonic();
    let head = format!("process {pid} ({}): epolyfill {}, {}\n", target.name, library.release, library.path);
    let mut why: Vec<String> = survey.instances.iter().flat_map(|instance| instance.verdicts(now)).collect();
    why.extend(away::sentences(&survey.records, &survey.instances, &survey.threads, &descriptors));
    Ok(page(head, &survey.records, &survey.instances, why, now))
}

/// The time between two looks at the process.
const BETWEEN: Duration = Duration::from_millis(100);

/// A look at all of the process.
struct Survey {
    records: Records,
    threads: Vec<Thread>,
    instances: Vec<Explained>,
}

fn survey(target: &Target, reader: &Reader<'_, OfProcess>, descriptors: &Descriptors) -> Survey {
    let records = reader.records();
    let threads = threads::of(target.pid);
    let mut instances = of_library(reader, &records, &threads);
    instances.extend(of_kernel(target, &threads));
    for registration in instances.iter_mut().flat_map(|instance| &mut instance.registrations) {
        registration.look = descriptors.look(registration.item.via);
    }
    Survey { records, threads, instances }
}

fn monotonic() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| Duration::from(time).as_nanos() as u64)
}

/// The whole text.
fn page(head: String, records: &Records, instances: &[Explained], mut why: Vec<String>, now: u64) -> String {
    let mut text = head;
    if records.is_torn {
        text.push_str("changed while it was read: the lines below may not fit together\n");
    }
    instances.iter().for_each(|instance| instance.write(&mut text, now));
    if instances.is_empty() {
        why.push("the process has no epoll instance".to_owned());
    } else if why.is_empty() {
        let progress = instances.iter().filter_map(|instance| instance.progress(now)).next();
        why.push(match progress {
            Some(progress) => format!("the loop works: {progress}"),
            None => "everything that is ready was reported; the loop waits for the next event".to_owned(),
        });
    }
    for sentence in why {
        let _ = writeln!(text, "why: {sentence}");
    }
    text
}

/// The library's own instances.
fn of_library(reader: &Reader<'_, OfProcess>, records: &Records, threads: &[Thread]) -> Vec<Explained> {
    let explained = |instance: &records::Instance| {
        let server = if instance.has_ring { "io_uring" } else { "poll" };
        let mut explained = Explained::new(instance, server);
        let waiters = records.waiters.iter().filter(|waiter| waiter.instance == Some(instance.address));
        explained.waits = waiters.filter_map(|waiter| wait(reader, waiter, threads)).collect();
        explained.registrations = instance.items.iter().map(|item| Registration::new(item, false)).collect();
        explained
    };
    records.instances.iter().map(explained).collect()
}

/// A wait on an instance of the library.
fn wait(reader: &Reader<'_, OfProcess>, waiter: &Waiter, threads: &[Thread]) -> Option<Wait> {
    let thread = threads.iter().find(|thread| thread.inner == waiter.thread)?;
    let mut limit = thread.stack().and_then(|stack| reader.limit(waiter, stack));
    if let Some(limit) = &mut limit {
        limit.began = limit.began.or_else(|| asleep_since(thread));
    }
    Some(Wait { thread: thread.clone(), limit })
}

/// The time at which a thread fell asleep: the beginning of its wait, if that is a single sleep.
fn asleep_since(thread: &Thread) -> Option<u64> {
    thread.asleep.map(|asleep| monotonic().saturating_sub(asleep.as_nanos() as u64))
}

/// The instances of the kernel's own epoll.
fn of_kernel(target: &Target, threads: &[Thread]) -> Vec<Explained> {
    let explained = |found: kernel::OfKernel| {
        let mut explained = Explained::new(&found.instance, "the kernel's epoll");
        let waits = threads.iter().filter_map(|thread| {
            let (number, limit) = kernel_wait(&target.memory, thread)?;
            found.numbers.contains(&number).then(|| Wait { thread: thread.clone(), limit })
        });
        explained.waits = waits.collect();
        let items = found.instance.items.iter();
        explained.registrations =
            items.map(|item| Registration::new(item, found.ghosts.contains(&item.number))).collect();
        explained
    };
    kernel::instances(target.pid).into_iter().map(explained).collect()
}

/// The instance and the timeout of a thread that is in a wait of the kernel's epoll.
fn kernel_wait(memory: &OfProcess, thread: &Thread) -> Option<(i32, Option<Limit>)> {
    let (call, [number, _, _, limit, ..]) = thread.system_call()?;
    let began = asleep_since(thread);
    let limit = match call.name() {
        "epoll_wait" | "epoll_pwait" => {
            let milliseconds = u64::try_from(limit as i32).ok();
            Some(Limit { timeout: milliseconds.map(|milliseconds| milliseconds * 1_000_000), began })
        }
        "epoll_pwait2" if limit == 0 => Some(Limit { timeout: None, began }),
        "epoll_pwait2" => memory.double(limit).zip(memory.double(limit.wrapping_add(8))).map(|(seconds, rest)| {
            let timeout = seconds.saturating_mul(1_000_000_000).saturating_add(rest);
            Limit { timeout: Some(timeout), began }
        }),
        _ => return None,
    };
    let cut = thread.stack().and_then(|stack| records::cut_limit(memory, stack));
    Some((number as i32, cut.or(limit)))
}

/// Prints the counters of a process, once or again and again.
pub fn counts(pid: i32, every: Option<i32>) -> Result<(), Failure> {
    let target = Target::open(pid)?;
    let library = library(&target)?;
    let reader = Reader { memory: &target.memory, library: &library };
    let head = |records: &Records| {
        let torn = if records.is_torn { ", changed while they were read" } else { "" };
        format!("process {pid} ({}): epolyfill {}{torn}\n", target.name, library.release)
    };
    let mut records = reader.records();
    if records.sums.iter().all(|sum| *sum == 0) && !kernel::instances(pid).is_empty() {
        let sentence = format!("process {pid} is served by the kernel's epoll, which has no counters");
        return Err(Failure::own(sentence));
    }
    crate::say(&(head(&records) + &counts::table(&records)))?;
    let Some(every) = every else { return Ok(()) };
    let mut last = Instant::now();
    loop {
        std::thread::sleep(Duration::from_secs(every.unsigned_abs().into()));
        if let Err(failure) = Target::open(pid) {
            return crate::say(&format!("{}\n", failure.sentence));
        }
        let before = std::mem::replace(&mut records, reader.records());
        let seconds = last.elapsed().as_secs_f64();
        last = Instant::now();
        crate::say(&format!("\n{}{}", head(&records), counts::rates(&before.sums, &records.sums, seconds)))?;
    }
}
