//! `--timeline FILE`: what happened, in the JSON trace format that Perfetto and Chrome read.
//!
//! Calls, and the thread's own code after a report, are slices of the thread; they never overlap.
//! Waits are asynchronous slices of the thread's id, and unread descriptors of the descriptor's.
//! Each descriptor has a track on which its arrivals are: slices that begin when it was last seen
//! without, and end with the report, because nothing shows when something arrived in between. Flow
//! arrows lead from the arrival to the report, the first read and the answer.

use super::history::item::{Chain, Item, Moment, UNFINISHED, What};
use super::history::{History, columns};
use super::json::Json;
use super::words::{bits, errno, op};
use std::collections::HashSet;
use std::io::{self, Write};

/// The bytes after which only what is around the findings and the slowest answers is written.
const MOST_BYTES: u64 = 96 << 20;
/// The tracks of descriptors have ids beyond those of threads.
const TRACKS: u64 = 1 << 23;

/// A trace that is being written.
#[derive(Debug)]
pub struct Timeline<W: Write> {
    out: W,
    bytes: u64,
    most_bytes: u64,
    origin_ns: Option<u64>,
    /// The time at which the trace became too long.
    full_ns: Option<u64>,
    threads: HashSet<(i32, u64)>,
    ids: u64,
}

/// Microseconds with three decimals.
struct Us(u64);

impl std::fmt::Display for Us {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

impl<W: Write> Timeline<W> {
    /// A trace that begins with the first fact. Nothing is written before, because the process can
    /// fork until then, and both would write what is buffered.
    pub fn new(out: W) -> Timeline<W> {
        let (threads, origin_ns) = (HashSet::new(), None);
        Timeline { out, bytes: 0, most_bytes: MOST_BYTES, origin_ns, full_ns: None, threads, ids: 0 }
    }

    /// Writes what every trace begins with.
    fn begin(&mut self, origin_ns: u64) -> io::Result<()> {
        if self.origin_ns.is_some() {
            return Ok(());
        }
        self.origin_ns = Some(origin_ns);
        self.out.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n")?;
        self.out.write_all(br#"{"ph":"M","pid":0,"tid":0,"name":"process_name","args":{"name":"epolyfill"}}"#)
    }

    /// Sets the bytes after which the trace is too long.
    #[cfg(test)]
    pub fn limit(&mut self, bytes: u64) {
        self.most_bytes = bytes;
    }

    /// Writes the items of a fact.
    pub fn take(&mut self, items: &[Item]) -> io::Result<()> {
        for item in items {
            self.begin(item.begin_ns)?;
            if self.bytes >= self.most_bytes {
                self.full_ns.get_or_insert(item.end_ns);
                continue;
            }
            self.item(item)?;
        }
        Ok(())
    }

    /// Writes what is left, and ends the trace. The history is finished; `command` is the command
    /// line.
    pub fn finish(mut self, history: &History, command: &str) -> io::Result<W> {
        self.begin(history.begin_ns)?;
        self.take(history.fresh())?;
        if let Some(full_ns) = self.full_ns {
            self.windows(history, full_ns)?;
        }
        self.names(history)?;
        self.columns(history)?;
        let wall_ns = history.begin_ns.cast_signed() + history.wall_offset_ns;
        let (begin_ns, lost) = (history.begin_ns, history.lost);
        write!(
            self.out,
            "\n],\"otherData\":{{\"command\":{},\"version\":\"epolyfill {}\",\"monotonic_ns\":{begin_ns},\"wall_ns\":{wall_ns},\
             \"facts\":{},\"facts_lost\":{lost},\"complete_until_us\":{}}}}}\n",
            Json(command),
            env!("CARGO_PKG_VERSION"),
            history.facts,
            Us(self.us(self.full_ns.unwrap_or(history.end_ns))),
        )?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn us(&self, ns: u64) -> u64 {
        ns.saturating_sub(self.origin_ns.unwrap_or(0))
    }

    fn put(&mut self, line: std::fmt::Arguments<'_>) -> io::Result<()> {
        struct Counted<'a, W>(&'a mut W, u64);
        impl<W: Write> Write for Counted<'_, W> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let n = self.0.write(bytes)?;
                self.1 += n as u64;
                Ok(n)
            }
            fn flush(&mut self) -> io::Result<()> {
                self.0.flush()
            }
        }
        let mut out = Counted(&mut self.out, 0);
        out.write_all(b",\n")?;
        out.write_fmt(line)?;
        self.bytes += out.1;
        Ok(())
    }

    /// A slice of a thread, or of the track of a descriptor.
    fn slice(
        &mut self,
        pid: i32,
        tid: u64,
        (begin_ns, end_ns): (u64, u64),
        rest: std::fmt::Arguments<'_>,
    ) -> io::Result<()> {
        let (ts, dur) = (Us(self.us(begin_ns)), Us(end_ns.saturating_sub(begin_ns)));
        self.put(format_args!(r#"{{"ph":"X","pid":{pid},"tid":{tid},"ts":{ts},"dur":{dur},{rest}}}"#))
    }

    fn instant(&mut self, item: &Item, rest: std::fmt::Arguments<'_>) -> io::Result<()> {
        let (pid, tid, ts) = (item.pid, item.tid, Us(self.us(item.end_ns)));
        self.put(format_args!(r#"{{"ph":"i","s":"t","pid":{pid},"tid":{tid},"ts":{ts},{rest}}}"#))
    }

    /// An asynchronous slice.
    fn span(&mut self, item: &Item, cat: &str, id: u64, name: &str, args: std::fmt::Arguments<'_>) -> io::Result<()> {
        let (pid, tid, begin, end) = (item.pid, item.tid, Us(self.us(item.begin_ns)), Us(self.us(item.end_ns)));
        let id = format_args!(r#""cat":"{cat}","id2":{{"local":"0x{id:x}"}},"name":"{name}""#);
        self.put(format_args!(r#"{{"ph":"b","pid":{pid},"tid":{tid},"ts":{begin},{id},"args":{{{args}}}}}"#))?;
        self.put(format_args!(r#"{{"ph":"e","pid":{pid},"tid":{tid},"ts":{end},{id}}}"#))
    }

    fn item(&mut self, item: &Item) -> io::Result<()> {
        let (pid, thread, when) = (item.pid, item.tid as u64, (item.begin_ns, item.end_ns));
        match item.what {
            What::Call { call, fd, other, asked, answer } => {
                let name = call.name();
                let other = if other >= 0 { format!(r#","other":{other}"#) } else { String::new() };
                let result = if answer < 0 { format!("\"{}\"", errno(-answer)) } else { answer.to_string() };
                let args = format_args!(r#""fd":{fd}{other},"asked":{asked},"result":{result}"#);
                self.slice(pid, thread, when, format_args!(r#""cat":"call","name":"{name}","args":{{{args}}}"#))
            }
            What::Create { fd } => {
                let args = format_args!(r#""result":{fd}"#);
                self.slice(pid, thread, when, format_args!(r#""cat":"epoll","name":"epoll_create","args":{{{args}}}"#))
            }
            What::Control { epfd, op: of, fd, events, errno: number } => {
                let result = if number == 0 { "0".to_owned() } else { format!("\"{}\"", errno(number.into())) };
                let (of, bits) = (op(of), bits(events));
                let args = format_args!(r#""epfd":{epfd},"op":"{of}","fd":{fd},"events":"{bits}","result":{result}"#);
                self.slice(pid, thread, when, format_args!(r#""cat":"epoll","name":"epoll_ctl","args":{{{args}}}"#))
            }
            What::Handle { events } => {
                let rest = format_args!(r#""cat":"own","name":"report","args":{{"events":{events}}}"#);
                self.slice(pid, thread, when, rest)
            }
            What::Own => self.slice(pid, thread, when, format_args!(r#""cat":"own","name":"own code""#)),
            What::Wait { epfd, timeout_ns, events, errno: number } => {
                let result = match number {
                    0 => events.to_string(),
                    UNFINISHED => "\"unfinished\"".to_owned(),
                    number => format!("\"{}\"", errno(number.into())),
                };
                let args = format_args!(r#""epfd":{epfd},"timeout_ns":{timeout_ns},"result":{result}"#);
                self.span(item, "wait", thread, "wait", args)
            }
            What::Unread { fd } => self.span(item, "unread", track(fd), "unread", format_args!(r#""fd":{fd}"#)),
            What::Arrival { fd, bits: events, reason } => {
                self.threads.insert((pid, track(fd)));
                let bits = bits(events);
                let args = format_args!(r#""events":"{bits}","reason":"{reason:?}","fd":{fd}"#);
                let rest = format_args!(r#""cat":"arrival","name":"arrives within","args":{{{args}}}"#);
                self.slice(pid, track(fd), when, rest)
            }
            What::Chain(chain) => self.chain(pid, &chain),
            What::Close { fd } => self.instant(item, format_args!(r#""name":"close","args":{{"fd":{fd}}}"#)),
            What::Repeat { fd, bits: events } => {
                let bits = bits(events);
                let args = format_args!(r#""fd":{fd},"events":"{bits}""#);
                self.instant(item, format_args!(r#""name":"reported again","args":{{{args}}}"#))
            }
            What::Look { fd, unread, is_after } => {
                let args = format_args!(r#""fd":{fd},"unread":{unread},"after_sleep":{is_after}"#);
                self.instant(item, format_args!(r#""name":"owed a read","args":{{{args}}}"#))
            }
            What::Chaos { kind, epfd, fd, ordinal, amount } => {
                let args =
                    format_args!(r#""kind":"{kind:?}","epfd":{epfd},"fd":{fd},"wait":{ordinal},"amount":{amount}"#);
                self.instant(item, format_args!(r#""name":"chaos","args":{{{args}}}"#))
            }
            What::Fork { child } => self.instant(item, format_args!(r#""name":"fork","args":{{"child":{child}}}"#)),
            What::Exec => self.instant(item, format_args!(r#""name":"exec""#)),
            What::Exit { status } => self.instant(item, format_args!(r#""name":"exit","args":{{"status":{status}}}"#)),
        }
    }

    /// The arrows of an arrival. Each end is inside a slice: the arrival's, the own code after the
    /// report, the read, the write.
    fn chain(&mut self, pid: i32, chain: &Chain) -> io::Result<()> {
        self.ids += 1;
        let id = self.ids;
        let mut steps = vec![(track(chain.fd), chain.not_before_ns), (chain.report.tid as u64, chain.report.end_ns)];
        let begin = |moment: Moment| (moment.tid as u64, moment.begin_ns);
        steps.extend(chain.read.map(begin));
        steps.extend(chain.answer.map(begin));
        let last = steps.len() - 1;
        for (at, (tid, ns)) in steps.into_iter().enumerate() {
            let (ph, ts) = (
                if at == 0 {
                    "s"
                } else if at == last {
                    "f"
                } else {
                    "t"
                },
                Us(self.us(ns)),
            );
            let rest = format_args!(r#""cat":"flow","name":"answer","id":{id},"bp":"e""#);
            self.put(format_args!(r#"{{"ph":"{ph}","pid":{pid},"tid":{tid},"ts":{ts},{rest}}}"#))?;
        }
        Ok(())
    }

    /// What is kept of the time after the trace became too long.
    fn windows(&mut self, history: &History, full_ns: u64) -> io::Result<()> {
        let mut late: Vec<Item> = Vec::new();
        for window in &history.windows.all {
            // An arrow that begins outside the window would have no slice to begin in.
            let is_whole = |item: &&Item| match item.what {
                What::Chain(chain) => chain.not_before_ns >= full_ns.max(window.begin_ns),
                _ => item.end_ns >= full_ns,
            };
            late.extend(window.items.iter().filter(is_whole));
        }
        late.sort_by_key(|item| (item.end_ns, item.pid, item.tid, item.begin_ns));
        let mut written: Vec<Item> = Vec::new();
        for item in late {
            written.retain(|other| other.end_ns == item.end_ns);
            // Windows overlap.
            if !written.contains(&item) {
                self.item(&item)?;
                written.push(item);
            }
        }
        Ok(())
    }

    fn names(&mut self, history: &History) -> io::Result<()> {
        for process in &history.processes {
            let (pid, name) = (process.pid, Json(&process.name));
            self.put(format_args!(
                r#"{{"ph":"M","pid":{pid},"tid":{pid},"name":"process_name","args":{{"name":{name}}}}}"#
            ))?;
        }
        for thread in &history.threads {
            let (pid, tid) = (thread.pid, thread.tid);
            let name = if thread.is_loop() { "loop" } else { "thread" };
            let args = format_args!(r#""args":{{"name":"{name} {tid}"}}"#);
            self.put(format_args!(r#"{{"ph":"M","pid":{pid},"tid":{tid},"name":"thread_name",{args}}}"#))?;
        }
        let mut tracks: Vec<(i32, u64)> = self.threads.drain().collect();
        tracks.sort_unstable();
        for (pid, tid) in tracks {
            let fd = (tid - TRACKS) as i32;
            let words = history.process(pid).and_then(|process| process.descriptors.get(&fd));
            let name = format!("descriptor {fd} {}", words.map_or("", |descriptor| &descriptor.words));
            let name = Json(name.trim_end());
            self.put(format_args!(
                r#"{{"ph":"M","pid":{pid},"tid":{tid},"name":"thread_name","args":{{"name":{name}}}}}"#
            ))?;
        }
        Ok(())
    }

    /// The share of time that each loop was busy, of all the run.
    fn columns(&mut self, history: &History) -> io::Result<()> {
        let Some(scale) = history.scale else { return Ok(()) };
        debug_assert!(history.threads.iter().all(|thread| thread.columns.all().len() <= columns::MOST));
        for thread in history.threads.iter().filter(|thread| thread.is_loop()) {
            let (pid, tid) = (thread.pid, thread.tid);
            for (at, column) in thread.columns.all().iter().enumerate() {
                let begin_ns = scale.origin_ns + at as u64 * scale.width_ns;
                let (from, to) = (begin_ns.max(thread.first_ns), (begin_ns + scale.width_ns).min(thread.last_ns));
                if to <= from {
                    continue;
                }
                let busy = 100 - (100 * column.asleep_ns.min(to - from) / (to - from));
                let (ts, events) = (Us(self.us(from)), column.events);
                let args = format_args!(r#""args":{{"busy %":{busy},"events":{events}}}"#);
                self.put(format_args!(r#"{{"ph":"C","pid":{pid},"name":"loop {tid}","ts":{ts},{args}}}"#))?;
            }
        }
        Ok(())
    }
}

/// The track of a descriptor.
fn track(fd: i32) -> u64 {
    TRACKS + fd.max(0) as u64
}
