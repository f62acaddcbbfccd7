//! A server on polling, whose epoll calls are system call instructions of the program's own, and its
//! clients, which compare every byte. It also starts the programs of its command line, each of which
//! prints "ran", in every way that the standard library has, and at last itself. It prints what it
//! did and whose epoll it has.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, fs, thread};

use polling::{Event, Events, PollMode, Poller};

const CLIENTS: usize = 50;
const BYTES: usize = 300;
const BOUND: Duration = Duration::from_secs(20);
const LISTENER: usize = 0;

fn poller() -> Poller {
    Poller::new().expect("an epoll instance")
}

fn byte(client: usize, round: usize) -> u8 {
    (client * 7 + round) as u8
}

/// Sends each client's bytes, and compares those that come back.
fn clients(at: std::net::SocketAddr, rounds: usize) {
    let mut streams: Vec<TcpStream> = (0..CLIENTS).map(|_| TcpStream::connect(at).unwrap()).collect();
    for round in 0..rounds {
        for (client, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&[byte(client, round); BYTES]).unwrap();
        }
        for (client, stream) in streams.iter_mut().enumerate() {
            let mut back = [0; BYTES];
            stream.read_exact(&mut back).unwrap();
            assert!(back.iter().all(|got| *got == byte(client, round)));
        }
    }
}

/// Sends back what comes; false at the end.
fn echo(stream: &mut TcpStream, total: &mut usize) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(n) => {
                *total += n;
                stream.write_all(&buffer[..n]).unwrap();
            }
            Err(_) => return true,
        }
    }
}

/// Serves the clients until all are gone; returns the number of bytes.
fn serve(mode: PollMode, rounds: usize) -> usize {
    let poller = poller();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = listener.local_addr().unwrap();
    // SAFETY: every source is deleted before it is closed, or outlives the poller.
    let add = |source: &dyn std::os::fd::AsRawFd, key| unsafe {
        poller.add_with_mode(source.as_raw_fd(), Event::readable(key), mode).unwrap();
    };
    add(&listener, LISTENER);
    let others = thread::spawn(move || clients(at, rounds));
    let (mut streams, mut next, mut gone, mut total) = (HashMap::new(), LISTENER + 1, 0, 0);
    let mut events = Events::new();
    while gone < CLIENTS {
        events.clear();
        poller.wait(&mut events, Some(BOUND)).unwrap();
        assert!(!events.is_empty(), "time-out after {total} bytes");
        for event in events.iter() {
            if event.key == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true).unwrap();
                    add(&stream, next);
                    streams.insert(next, stream);
                    next += 1;
                }
            } else if !echo(streams.get_mut(&event.key).unwrap(), &mut total) {
                poller.delete(&streams[&event.key]).unwrap();
                streams.remove(&event.key);
                gone += 1;
            }
        }
    }
    others.join().unwrap();
    total
}

/// A wait that another thread ends, again and again.
fn notifications() {
    let poller = poller();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                poller.notify().unwrap();
                thread::yield_now();
            }
        });
        let mut events = Events::new();
        for _ in 0..1000 {
            poller.wait(&mut events, Some(BOUND)).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// Starts each program by posix_spawn, and by fork and exec.
fn start(programs: &[String]) {
    for program in programs {
        for forks in [false, true] {
            let mut command = Command::new(program);
            if forks {
                // SAFETY: the child makes calls that are safe after a fork.
                unsafe { command.pre_exec(|| poller().notify()) };
            }
            let ended = command.output().unwrap();
            assert_eq!((ended.stdout.as_slice(), ended.status.code()), (&b"ran\n"[..], Some(0)), "{program}: {ended:?}");
        }
    }
}

fn eventpolls() -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().contains("[eventpoll]")).count()
}

fn main() {
    let words: Vec<String> = env::args().collect();
    let is_second = words[1] == "second";
    let total = serve(PollMode::Edge, 100) + serve(PollMode::Level, 100);
    notifications();
    if !is_second {
        start(&words[2..]);
    }
    if words[1] == "first" {
        panic!("{}", Command::new(env::current_exe().unwrap()).arg("second").exec());
    }
    let kept = poller();
    let is_served = fs::read_to_string("/proc/self/maps").unwrap().contains("libepolyfill");
    println!("{total} bytes, eventpolls: {} served: {is_served}", eventpolls());
    drop(kept);
}
