//! Threads that do not wait on the instance that they serve: a handler that blocks, or works.

use super::descriptor::Descriptors;
use super::records::Records;
use super::text::{Explained, Registration, asleep, thread_name};
use super::threads::{Call, Thread};

/// The most threads that are named.
const MOST: usize = 8;
/// System calls whose first argument is a descriptor.
const ON_DESCRIPTORS: [&str; 20] = [
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "recvfrom",
    "sendto",
    "recvmsg",
    "sendmsg",
    "recvmmsg",
    "sendmmsg",
    "accept",
    "accept4",
    "connect",
    "sendfile",
    "fsync",
    "fdatasync",
    "flock",
    "ioctl",
];

/// A sentence about each thread that could wait, if there is an instance that no thread waits on.
pub fn sentences(
    records: &Records,
    instances: &[Explained],
    threads: &[Thread],
    descriptors: &Descriptors,
) -> Vec<String> {
    // An instance in another one is waited for there.
    let is_inner = |instance: &Explained| {
        let names = |registration: &Registration| registration.item.via == instance.number;
        instances.iter().any(|outer| outer.registrations.iter().any(names))
    };
    let idle = instances.iter().filter(|instance| instance.waits.is_empty() && !is_inner(instance));
    let idle: Vec<&Explained> = idle.collect();
    if idle.is_empty() {
        return Vec::new();
    }
    let waits = |thread: &Thread| {
        instances.iter().any(|instance| instance.waits.iter().any(|wait| wait.thread.id == thread.id))
    };
    let has_waited = |thread: &Thread| records.waiters.iter().any(|waiter| waiter.thread == thread.inner);
    let none_has = !threads.iter().any(has_waited);
    let candidates = threads.iter().filter(|thread| !thread.is_internal() && !waits(thread));
    let candidates = candidates.filter(|thread| none_has || has_waited(thread));
    let mut sentences: Vec<String> = idle.iter().map(|instance| nobody(instance)).collect();
    sentences.extend(candidates.take(MOST).map(|thread| {
        format!("thread {} is not in a wait: it {}{}", thread_name(thread), doing(thread, descriptors), asleep(thread))
    }));
    sentences
}

fn nobody(instance: &Explained) -> String {
    let ready: Vec<String> = instance.ready().iter().take(MOST).map(i32::to_string).collect();
    let ready = match ready.len() {
        0 => "nothing on it is ready".to_owned(),
        1 => format!("descriptor {} is ready", ready[0]),
        _ => format!("descriptors {} are ready", ready.join(", ")),
    };
    format!("no thread waits on instance {}; {ready}", instance.number)
}

/// "is in read(2) on descriptor 7 (pipe)".
fn doing(thread: &Thread, descriptors: &Descriptors) -> String {
    if thread.call == Call::Running {
        return "is running".to_owned();
    }
    let Some((call, [first, ..])) = thread.system_call() else { return "does something unknown".to_owned() };
    let name = call.name();
    let on = ON_DESCRIPTORS.contains(&name).then(|| {
        let number = first as i32;
        format!(" on descriptor {number} ({})", descriptors.look(number).words)
    });
    format!("is in {name}(2){}", on.unwrap_or_default())
}
