//! Facts of a server that never was, for the tests of the timeline and the report: it reads 64 of
//! 100 bytes of one connection and sleeps on the rest.

use super::history::History;
use super::history::thread::Times;
use super::report::{About, Card, page};
use super::timeline::Timeline;
use epolyfill_audit::{Described, Finding, Grade, Rule};
use epolyfill_facts::{Call, ChaosKind, Event, Fact, Form, NO_FD, Poller, Reason, SiteId, Stamp, Start};
use std::collections::HashMap;
use std::io;

const PID: i32 = 812;
const EPFD: i32 = 5;
const LISTENER: i32 = 6;
const GUILTY: i32 = 9;
const IN: u32 = libc::EPOLLIN as u32;
const ET: u32 = libc::EPOLLET as u32;

/// A program whose clock advances with what it does.
struct Program<'a> {
    history: History,
    timeline: Timeline<&'a mut Vec<u8>>,
    now_ns: u64,
    tid: i32,
    random: u64,
}

impl Program<'_> {
    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    fn pass(&mut self, ns: u64) -> u64 {
        let before = self.now_ns;
        self.now_ns += ns;
        before
    }

    fn take(&mut self, fact: &Fact<'_>) {
        self.history.take(PID, Stamp { ns: self.now_ns, tid: self.tid }, fact);
        self.timeline.take(self.history.fresh()).unwrap();
    }

    fn wait(&mut self, slept_ns: u64, fds: &[(i32, u32)]) {
        let timeout_ns = -1;
        self.take(&Fact::Wait { epfd: EPFD, max: 64, timeout_ns });
        let began_ns = self.pass(slept_ns);
        let event = |(fd, bits): &(i32, u32)| Event { bits: *bits, fd: *fd, data: *fd as u64, reason: Reason::Unknown };
        let events: Vec<Event> = fds.iter().map(event).collect();
        let form = Form::EpollWait;
        let (mask, epfd, max, errno) = (None, EPFD, 64, 0);
        self.take(&Fact::Report { form, mask, epfd, max, timeout_ns, began_ns, errno, events: &events });
        self.pass(2_000);
    }

    fn call(&mut self, call: Call, fd: i32, asked: u64, answer: i64) {
        let took = 2_000 + self.random(6_000);
        let began_ns = self.pass(took);
        self.take(&Fact::Call { call, fd, other: NO_FD, asked, answer, flags: 0, began_ns });
        let own = 1_000 + self.random(20_000);
        self.pass(own);
    }

    fn add(&mut self, fd: i32, events: u32, site: u32) {
        let began_ns = self.pass(1_500);
        let (data, site) = (fd as u64, SiteId(site));
        self.take(&Fact::Control { epfd: EPFD, op: 1, fd, events, data, errno: 0, site, began_ns });
    }
}

fn finding(now_ns: u64) -> Finding {
    Finding {
        fd: GUILTY,
        epfd: EPFD,
        tid: PID,
        events: IN | ET,
        bits: IN,
        site: SiteId(2),
        count: 3,
        first_ns: now_ns - 100_000_000,
        last_ns: now_ns,
        worst_ns: 61_800_000,
        who: Described::new("tcp 127.0.0.1:6379 <- 10.0.0.7:51824"),
        ..Finding::new(Rule::SleptEdge, Grade::Fault)
    }
}

/// Runs the program; writes its timeline.
fn run(to: &mut Vec<u8>) -> (History, Vec<Card>) {
    let timeline = Timeline::new(to);
    let mut p = Program { history: History::new(), timeline, now_ns: 7_000_000_000, tid: PID, random: 7 };
    let wall_offset_ns = 1_796_015_000_000_000_000;
    p.take(&Fact::Start(Start { pid: PID, ppid: 1, is_fork: false, wall_offset_ns, poller: Poller::Kernel }));
    let began_ns = p.pass(3_000);
    p.take(&Fact::Create { form: Form::EpollCreate1, fd: EPFD, flags: 0, began_ns });
    p.add(LISTENER, IN, 1);
    for fd in GUILTY..GUILTY + 40 {
        p.wait(200_000, &[(LISTENER, IN)]);
        p.call(Call::Accept, LISTENER, 0, fd.into());
        p.call(Call::Accept, LISTENER, 0, -11);
        p.add(fd, IN | ET, 2);
        p.history.describe(PID, fd, &format!("tcp 127.0.0.1:6379 <- 10.0.0.7:{}", 51_815 + fd));
    }
    for round in 0..3_000u64 {
        let fds: Vec<(i32, u32)> =
            (0..1 + p.random(4)).map(|_| p.random(39) as i32 + GUILTY + 1).map(|fd| (fd, IN)).collect();
        let slept = if p.random(5) == 0 { 3_000 } else { 300_000 + p.random(900_000) };
        p.wait(slept, &fds);
        for (fd, _) in fds {
            p.call(Call::Recvfrom, fd, 4_096, 100);
            p.call(Call::Sendto, fd, 900, 900);
        }
        if round % 700 == 350 {
            p.pass(45_000_000);
        }
    }
    p.take(&Fact::Chaos { kind: ChaosKind::Few, epfd: EPFD, fd: 12, ordinal: 3_040, amount: 2 });
    p.wait(4_000_000, &[(GUILTY, IN)]);
    p.call(Call::Recvfrom, GUILTY, 64, 64);
    p.take(&Fact::Look { epfd: EPFD, fd: GUILTY, levels: IN, unread: 36, is_after: false });
    p.wait(61_800_000, &[(GUILTY, IN)]);
    p.take(&Fact::Look { epfd: EPFD, fd: GUILTY, levels: IN, unread: 136, is_after: true });
    p.call(Call::Recvfrom, GUILTY, 64, 64);
    p.call(Call::Sendto, GUILTY, 900, 900);
    let found = finding(p.now_ns);
    p.history.take_finding(PID, 0, &found);
    for _ in 0..60 {
        p.wait(1_000_000, &[(11, IN)]);
        p.call(Call::Recvfrom, 11, 4_096, 100);
        p.call(Call::Sendto, 11, 900, 900);
    }
    // It sleeps when it is killed.
    p.take(&Fact::Wait { epfd: EPFD, max: 64, timeout_ns: -1 });
    p.pass(80_000_000);
    p.tid += 3;
    p.take(&Fact::Close { fd: 48 });
    p.tid -= 3;
    p.history.set_times(PID, PID, Times { cpu_ns: 310_000_000, run_queue_ns: 12_000_000 });
    p.history.finish();
    p.timeline.finish(&p.history, "./server \"--port\" 6379").unwrap();
    (p.history, cards(found))
}

/// The finding, once more as a suspicion, and as a note.
fn cards(found: Finding) -> Vec<Card> {
    let mut suspect = Finding { last_ns: found.last_ns - 1_000_000_000, count: 1, ..found };
    (suspect.rule, suspect.grade) = (Rule::GhostRegistration, Grade::Suspect);
    let note = Finding { rule: Rule::IdleControl, grade: Grade::Note, ..found };
    let cards = [found, suspect, note].into_iter().enumerate().map(|(index, finding)| Card {
        pid: PID,
        index,
        finding,
        fact: "descriptor 9 (tcp 127.0.0.1:6379 <- 10.0.0.7:51824) was reported readable and was not read to its end; \
               then the loop slept 61.8 ms on what was left"
            .to_owned(),
        consequence: "an edge is reported once, so what is left waits until something new arrives".to_owned(),
        remedy: "Read until EAGAIN, or remember that there is more to read.".to_owned(),
        site: "server.c:214 accept_client <- server.c:88 on_listen".to_owned(),
        deed: String::new(),
        suppress: format!("{}:accept_client", finding.rule.name()),
    });
    cards.collect()
}

fn pages() -> (String, Vec<u8>, History) {
    let mut trace = Vec::new();
    let (history, cards) = run(&mut trace);
    let sites = HashMap::from([
        ((PID, SiteId(1)), "server.c:60 main".to_owned()),
        ((PID, SiteId(2)), "server.c:214 accept_client <- server.c:88 on_listen".to_owned()),
    ]);
    let about = About {
        command: "./server --port 6379 '<script>'".to_owned(),
        chaos: Some("42,few=0.1".to_owned()),
        unseen: vec!["1 site that reads on by itself (resumed 348 times) is muted for slept-edge.".to_owned()],
        sites,
    };
    (page(&history, &cards, &about), trace, history)
}

/// Slices by thread: begin and end in nanoseconds.
fn slices(events: &[serde_json::Value]) -> HashMap<(i64, i64), Vec<(i64, i64)>> {
    let ns = |value: &serde_json::Value| (value.as_f64().unwrap() * 1000.0).round() as i64;
    let mut slices: HashMap<(i64, i64), Vec<(i64, i64)>> = HashMap::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let track = (event["pid"].as_i64().unwrap(), event["tid"].as_i64().unwrap());
        let begin = ns(&event["ts"]);
        slices.entry(track).or_default().push((begin, begin + ns(&event["dur"])));
    }
    slices.values_mut().for_each(|slices| slices.sort_unstable());
    slices
}

fn parsed(trace: &[u8]) -> Vec<serde_json::Value> {
    let whole: serde_json::Value = serde_json::from_slice(trace).unwrap();
    whole["traceEvents"].as_array().unwrap().clone()
}

#[test]
fn slices_of_a_thread_never_overlap() {
    let (_, trace, _) = pages();
    let slices = slices(&parsed(&trace));
    assert!(slices.len() > 40);
    for (track, slices) in slices {
        for pair in slices.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{track:?}: {pair:?}");
        }
    }
}

#[test]
fn every_arrow_begins_once_ends_once_and_each_of_its_ends_is_in_a_slice() {
    let (_, trace, history) = pages();
    let events = parsed(&trace);
    let slices = slices(&events);
    let mut flows: HashMap<i64, Vec<(String, i64)>> = HashMap::new();
    for event in events.iter().filter(|event| ["s", "t", "f"].contains(&event["ph"].as_str().unwrap())) {
        let track = (event["pid"].as_i64().unwrap(), event["tid"].as_i64().unwrap());
        let ns = (event["ts"].as_f64().unwrap() * 1000.0).round() as i64;
        let is_in = |slice: &&(i64, i64)| slice.0 <= ns && ns <= slice.1;
        assert!(slices[&track].iter().any(|slice| is_in(&slice)), "{event}");
        flows.entry(event["id"].as_i64().unwrap()).or_default().push((event["ph"].as_str().unwrap().to_owned(), ns));
    }
    assert_eq!(flows.len() as u64, history.latencies.whole.count);
    for steps in flows.values() {
        assert!(steps.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{steps:?}");
        let shape: String = steps.iter().map(|(ph, _)| ph.as_str()).collect();
        assert!(["sf", "stf", "sttf"].contains(&shape.as_str()), "{shape}");
    }
}

#[test]
fn asynchronous_slices_are_balanced_and_arrivals_are_intervals() {
    let (_, trace, _) = pages();
    let events = parsed(&trace);
    let mut open: HashMap<String, i64> = HashMap::new();
    for event in &events {
        let change = match event["ph"].as_str().unwrap() {
            "b" => 1,
            "e" => -1,
            _ => continue,
        };
        *open.entry(format!("{}{}{}", event["pid"], event["cat"], event["id2"])).or_default() += change;
    }
    assert!(!open.is_empty() && open.values().all(|count| *count == 0), "{open:?}");
    let arrivals = events.iter().filter(|event| event["cat"] == "arrival");
    assert!(arrivals.filter(|event| event["dur"].as_f64().unwrap() > 0.0).count() > 1000);
}

#[test]
fn a_trace_that_becomes_too_long_keeps_what_is_around_the_findings() {
    let mut trace = Vec::new();
    let mut timeline = Timeline::new(&mut trace);
    timeline.limit(0);
    let (mut history, _) = run(&mut Vec::new());
    history.finish();
    timeline.limit(0);
    let items: Vec<_> = history.windows.all.iter().flat_map(|window| window.items.clone()).collect();
    timeline.take(&items).unwrap();
    timeline.finish(&history, "server").unwrap();
    let events = parsed(&trace);
    assert!(events.iter().any(|event| event["args"]["fd"] == GUILTY && event["name"] == "recvfrom"));
    for slices in slices(&events).values() {
        assert!(slices.windows(2).all(|pair| pair[0].1 <= pair[1].0));
    }
}

#[test]
fn the_page_has_its_parts_is_small_and_needs_no_network() {
    let (page, trace, _) = pages();
    for part in ["findings", "threads", "latencies", "loops", "descriptors", "chaos", "unseen"] {
        assert!(page.contains(&format!("id=\"{part}\"")), "{part}");
    }
    assert!(page.contains("1 fault, 1 suspect, 1 note in 3,1"), "the verdict");
    assert!(page.len() < 1 << 20, "{}", page.len());
    assert!(!page.contains("'<script>'") && !page.contains("http://") && !page.contains("https://"));
    assert!(!page.contains("NaN") && !page.contains("{{"));
    // To look at.
    if let Some(directory) = std::env::var_os("EPOLYFILL_PAGES") {
        std::fs::write(std::path::Path::new(&directory).join("page.html"), page).unwrap();
        std::fs::write(std::path::Path::new(&directory).join("trace.json"), trace).unwrap();
    }
}

#[test]
fn a_history_without_facts_has_a_page_and_a_timeline() {
    let mut history = History::new();
    history.finish();
    assert!(page(&history, &[], &About::default()).contains("No fault and no suspect in 0 waits."));
    let trace = Timeline::new(Vec::new()).finish(&history, "true").unwrap();
    assert!(!parsed(&trace).is_empty());
}

#[test]
fn a_timeline_that_cannot_be_written_is_an_error() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut history = History::new();
    history.finish();
    assert!(Timeline::new(Full).finish(&history, "true").is_err());
}
