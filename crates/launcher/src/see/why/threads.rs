//! The threads of a process, as `/proc` shows them.

use std::fs;
use std::time::Duration;
use syscalls::Sysno;

/// One thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    pub id: i32,
    /// The id by which the thread knows itself, in its namespace.
    pub inner: i32,
    pub name: String,
    pub call: Call,
    /// Whether it sleeps, and is not about to run.
    pub is_asleep: bool,
    /// The time since it last ran, if it sleeps.
    pub asleep: Option<Duration>,
}

/// What a thread does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Call {
    #[default]
    Unknown,
    Running,
    /// It is in a system call: the number, the arguments, the stack pointer.
    Inside(usize, [u64; 6], u64),
}

impl Thread {
    /// The stack pointer, if the thread is in a system call.
    pub fn stack(&self) -> Option<u64> {
        match self.call {
            Call::Inside(.., stack) => Some(stack),
            _ => None,
        }
    }

    /// The system call that it is in, with its arguments.
    pub fn system_call(&self) -> Option<(Sysno, [u64; 6])> {
        match self.call {
            Call::Inside(number, arguments, _) => Sysno::new(number).map(|call| (call, arguments)),
            _ => None,
        }
    }

    /// Whether it is a thread of the library.
    pub fn is_internal(&self) -> bool {
        // One that calls the program's callback waits like the program's own.
        self.name.starts_with("epolyfill-") && self.name != "epolyfill-call"
    }
}

/// The threads of a process, in the order of their ids.
pub fn of(pid: i32) -> Vec<Thread> {
    let now = last_run("/proc/thread-self");
    let ids = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut threads: Vec<Thread> = ids.filter_map(|id| thread(&format!("/proc/{pid}/task/{id}"), id, now)).collect();
    threads.sort_by_key(|thread| thread.id);
    threads
}

fn thread(directory: &str, id: i32, now: Option<Duration>) -> Option<Thread> {
    let status = fs::read_to_string(format!("{directory}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    let inner = field("NSpid:").split_ascii_whitespace().next_back().and_then(|inner| inner.parse().ok());
    let call = fs::read_to_string(format!("{directory}/syscall")).map_or(Call::Unknown, |text| call(&text));
    let is_asleep = !field("State:").starts_with('R');
    let asleep = now.zip(last_run(directory)).map(|(now, last)| now.saturating_sub(last)).filter(|_| is_asleep);
    Some(Thread { id, inner: inner.unwrap_or(id), name: field("Name:").to_owned(), call, is_asleep, asleep })
}

/// Reads `/proc/PID/task/TID/syscall`.
fn call(text: &str) -> Call {
    let mut words = text.split_ascii_whitespace();
    let Some(number) = words.next() else { return Call::Unknown };
    if number == "running" {
        return Call::Running;
    }
    let Ok(number) = number.parse::<usize>() else { return Call::Unknown };
    let hex = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
    let numbers: Vec<u64> = words.filter_map(hex).collect();
    match (numbers.first_chunk::<6>(), numbers.get(6)) {
        (Some(arguments), Some(stack)) => Call::Inside(number, *arguments, *stack),
        _ => Call::Unknown,
    }
}

/// The time at which a thread last ran, on the scheduler's clock. Some kernels do not show it.
fn last_run(directory: &str) -> Option<Duration> {
    let text = fs::read_to_string(format!("{directory}/sched")).ok()?;
    let line = text.lines().find(|line| line.starts_with("se.exec_start"))?;
    let milliseconds: f64 = line.split(':').nth(1)?.trim().parse().ok()?;
    Duration::try_from_secs_f64(milliseconds / 1e3).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_its_number_its_arguments_and_the_stack() {
        assert_eq!(call("running\n"), Call::Running);
        assert_eq!(call("271 0x1 0x2 0x0 0x0 0x8 0x0 0x7ffe 0x7f10\n"), Call::Inside(271, [1, 2, 0, 0, 8, 0], 0x7ffe));
        assert_eq!(call("-1 0x7ffe 0x7f10\n"), Call::Unknown);
        assert_eq!(call(""), Call::Unknown);
    }
}
