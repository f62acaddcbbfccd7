//! `--timeline FILE`: what happened, in the JSON trace format that Perfetto and Chrome read.
//!
//! Calls, and the thread's own code after a report, are slices of the thread; they never overlap.
//! Waits are asynchronous slices of the thread's id, and unread descriptors of the descriptor's.
//! Each descriptor has a track on which its arrivals are: slices that begin when it was last seen
//! without, and end with the report, because nothing shows when something arrived in between. Flow
//! arrows lead from the arrival to the report, the first read and the answer.

use super::history::item::{Chain, Item, Moment, UNFINISHED, What};
use super::history::{History, columns};
use super::object::Object;
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
    event: Object,
}

impl<W: Write> Timeline<W> {
    /// A trace that begins with the first fact. Nothing is written before, because the process can
    /// fork until then, and both would write what is buffered.
    pub fn new(out: W) -> Timeline<W> {
        let (threads, origin_ns) = (HashSet::new(), None);
        let event = Object::default();
        Timeline { out, bytes: 0, most_bytes: MOST_BYTES, origin_ns, full_ns: None, threads, ids: 0, event }
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
        let complete_ns = self.us(self.full_ns.unwrap_or(history.end_ns));
        self.event.begin("\n],\"otherData\":");
        self.event.text("command", command).text("version", concat!("epolyfill ", env!("CARGO_PKG_VERSION")));
        self.event.number("monotonic_ns", history.begin_ns);
        self.event.number("wall_ns", history.begin_ns.cast_signed() + history.wall_offset_ns);
        self.event.number("facts", history.facts).number("facts_lost", history.lost);
        self.event.us("complete_until_us", complete_ns);
        self.out.write_all(self.event.end())?;
        self.out.write_all(b"}\n")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn us(&self, ns: u64) -> u64 {
        ns.saturating_sub(self.origin_ns.unwrap_or(0))
    }

    /// Writes an event of a track.
    fn put(&mut self, ph: &str, (pid, tid): (i32, u64), members: impl FnOnce(&mut Object)) -> io::Result<()> {
        self.event.begin(",\n");
        self.event.text("ph", ph).number("pid", pid).number("tid", tid);
        members(&mut self.event);
        let line = self.event.end();
        self.bytes += line.len() as u64;
        self.out.write_all(line)
    }

    /// A slice of a thread, or of the track of a descriptor.
    fn slice(
        &mut self,
        of: (i32, u64),
        item: &Item,
        (cat, name): (&str, &str),
        args: impl FnOnce(&mut Object),
    ) -> io::Result<()> {
        let (ts, dur) = (self.us(item.begin_ns), item.end_ns.saturating_sub(item.begin_ns));
        self.put("X", of, |event| {
            event.us("ts", ts).us("dur", dur).text("cat", cat).text("name", name).object("args", args);
        })
    }

    fn instant(&mut self, item: &Item, name: &str, args: impl FnOnce(&mut Object)) -> io::Result<()> {
        let ts = self.us(item.end_ns);
        self.put("i", (item.pid, item.tid as u64), |event| {
            event.text("s", "t").us("ts", ts).text("name", name).object("args", args);
        })
    }

    /// An asynchronous slice.
    fn span(&mut self, item: &Item, id: u64, name: &str, args: impl FnOnce(&mut Object)) -> io::Result<()> {
        let (of, begin, end) = ((item.pid, item.tid as u64), self.us(item.begin_ns), self.us(item.end_ns));
        let about = |event: &mut Object, ts| {
            event.us("ts", ts).text("cat", name).text("name", name).object("id2", |id2| {
                id2.text("local", &format!("0x{id:x}"));
            });
        };
        self.put("b", of, |event| {
            about(event, begin);
            event.object("args", args);
        })?;
        self.put("e", of, |event| about(event, end))
    }

    fn item(&mut self, item: &Item) -> io::Result<()> {
        let (pid, thread) = (item.pid, item.tid as u64);
        let of = (pid, thread);
        match item.what {
            What::Call { call, fd, other, asked, answer } => self.slice(of, item, ("call", call.name()), |args| {
                args.number("fd", fd);
                if other >= 0 {
                    args.number("other", other);
                }
                result(args.number("asked", asked), answer);
            }),
            What::Create { fd } => self.slice(of, item, ("epoll", "epoll_create"), |args| {
                args.number("result", fd);
            }),
            What::Control { epfd, op: of_call, fd, events, errno } => {
                self.slice(of, item, ("epoll", "epoll_ctl"), |args| {
                    args.number("epfd", epfd).text("op", op(of_call)).number("fd", fd).text("events", &bits(events));
                    result(args, -i64::from(errno));
                })
            }
            What::Handle { events } => self.slice(of, item, ("own", "report"), |args| {
                args.number("events", events);
            }),
            What::Own => self.slice(of, item, ("own", "own code"), |_| {}),
            What::Wait { epfd, timeout_ns, events, errno } => self.span(item, thread, "wait", |args| {
                args.number("epfd", epfd).number("timeout_ns", timeout_ns);
                match errno {
                    0 => args.number("result", events),
                    UNFINISHED => args.text("result", "unfinished"),
                    errno => result(args, -i64::from(errno)),
                };
            }),
            What::Unread { fd } => self.span(item, track(fd), "unread", |args| {
                args.number("fd", fd);
            }),
            What::Arrival { fd, bits: events, reason } => {
                self.threads.insert((pid, track(fd)));
                self.slice((pid, track(fd)), item, ("arrival", "arrives within"), |args| {
                    args.text("events", &bits(events)).text("reason", &format!("{reason:?}")).number("fd", fd);
                })
            }
            What::Chain(chain) => self.chain(pid, &chain),
            What::Close { fd } => self.instant(item, "close", |args| {
                args.number("fd", fd);
            }),
            What::Repeat { fd, bits: events } => self.instant(item, "reported again", |args| {
                args.number("fd", fd).text("events", &bits(events));
            }),
            What::Look { fd, unread, is_after } => self.instant(item, "owed a read", |args| {
                args.number("fd", fd).number("unread", unread).flag("after_sleep", is_after);
            }),
            What::Chaos { kind, epfd, fd, ordinal, amount } => self.instant(item, "chaos", |args| {
                args.text("kind", &format!("{kind:?}")).number("epfd", epfd).number("fd", fd);
                args.number("wait", ordinal).number("amount", amount);
            }),
            What::Fork { child } => self.instant(item, "fork", |args| {
                args.number("child", child);
            }),
            What::Exec => self.instant(item, "exec", |_| {}),
            What::Exit { status } => self.instant(item, "exit", |args| {
                args.number("status", status);
            }),
        }
    }

    /// The arrows of an arrival. Each end is inside a slice: the arrival's, the own code after the
    /// report, the read, the write.
    fn chain(&mut self, pid: i32, chain: &Chain) -> io::Result<()> {
        self.ids += 1;
        let id = self.ids;
        let begin = |moment: Moment| (moment.tid as u64, moment.begin_ns);
        let first = [(track(chain.fd), chain.not_before_ns), (chain.report.tid as u64, chain.report.end_ns)];
        let mut steps = first.into_iter().chain(chain.read.map(begin)).chain(chain.answer.map(begin)).peekable();
        let mut ph = "s";
        while let Some((tid, ns)) = steps.next() {
            if steps.peek().is_none() {
                ph = "f";
            }
            let ts = self.us(ns);
            self.put(ph, (pid, tid), |event| {
                event.us("ts", ts).text("cat", "flow").text("name", "answer").number("id", id).text("bp", "e");
            })?;
            ph = "t";
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
            self.name((process.pid, process.pid as u64), "process_name", &process.name)?;
        }
        for thread in &history.threads {
            let kind = if thread.is_loop() { "loop" } else { "thread" };
            self.name((thread.pid, thread.tid as u64), "thread_name", &format!("{kind} {}", thread.tid))?;
        }
        let mut tracks: Vec<(i32, u64)> = self.threads.drain().collect();
        tracks.sort_unstable();
        for (pid, tid) in tracks {
            let fd = (tid - TRACKS) as i32;
            let words = history.process(pid).and_then(|process| process.descriptors.get(&fd));
            let name = format!("descriptor {fd} {}", words.map_or("", |descriptor| &descriptor.words));
            self.name((pid, tid), "thread_name", name.trim_end())?;
        }
        Ok(())
    }

    /// Names a process or a track.
    fn name(&mut self, of: (i32, u64), what: &str, name: &str) -> io::Result<()> {
        self.put("M", of, |event| {
            event.text("name", what).object("args", |args| {
                args.text("name", name);
            });
        })
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
                let ts = self.us(from);
                self.put("C", (pid, tid as u64), |event| {
                    event.text("name", &format!("loop {tid}")).us("ts", ts).object("args", |args| {
                        args.number("busy %", busy).number("events", column.events);
                    });
                })?;
            }
        }
        Ok(())
    }
}

/// The result of a call: a number, or the name of an errno.
fn result(args: &mut Object, answer: i64) -> &mut Object {
    if answer < 0 { args.text("result", &errno(-answer)) } else { args.number("result", answer) }
}

/// The track of a descriptor.
fn track(fd: i32) -> u64 {
    TRACKS + fd.max(0) as u64
}
