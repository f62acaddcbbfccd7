//! An echo server in one thread, edge-triggered as servers are written, and all its clients in another, level-triggered.
//!
//! Unix sockets, because a sandbox without epoll often has no network either. Every client has one message on its way and compares what
//! comes back, byte by byte.

use super::Score;
use super::readiness::{Readiness, Trigger, failed};
use std::io::{ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

pub const CLIENTS: usize = 100;

const LONGEST: usize = 512;

/// The server's key of the listener; connections have those from 0.
const LISTENER: usize = usize::MAX;

/// Serves and asks for a while. The events are the messages that were read, at both ends.
pub fn run<R: Readiness>(length: Duration) -> Result<Score, String> {
    // An abstract name leaves no file behind, and the process id makes it ours.
    let address = format!("epolyfill-demo-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(address).map_err(failed("address"))?;
    let listener = UnixListener::bind_addr(&address).map_err(failed("bind"))?;
    listener.set_nonblocking(true).map_err(failed("set_nonblocking"))?;

    std::thread::scope(|scope| {
        let server = scope.spawn(|| serve::<R>(&listener));
        let asked = ask::<R>(&address, length);
        let served = server.join().map_err(|_| "the server panicked")?;
        let (bytes_served, asked) = match (served, asked) {
            (Ok(served), Ok(asked)) => (served, asked),
            // One failing makes the other fail, and it is not known here which was first.
            (Err(server), Err(clients)) => {
                return Err(format!("server: {server}; clients: {clients}"));
            }
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
        };
        if bytes_served != asked.bytes {
            return Err(format!("the server read {bytes_served} bytes of {}", asked.bytes));
        }
        let (events, time) = (asked.messages * 2, asked.time);
        Ok(Score { events, time })
    })
}

/// Runs until every client has come and gone; returns how many bytes it echoed.
fn serve<R: Readiness>(listener: &UnixListener) -> Result<u64, String> {
    let mut readiness = R::new()?;
    readiness.watch(listener, LISTENER, Trigger::Edge)?;
    let mut connections: Vec<Option<UnixStream>> = Vec::new();
    let (mut ready, mut gone, mut bytes) = (Vec::new(), 0, 0);
    while gone < CLIENTS {
        readiness.wait(&mut ready)?;
        for &key in &ready {
            if key == LISTENER {
                accept_all(listener, &mut readiness, &mut connections)?;
            } else if let Some(connection) = &mut connections[key]
                && !echo_all(connection, &mut bytes)?
            {
                readiness.forget(connection)?;
                connections[key] = None;
                gone += 1;
            }
        }
    }
    Ok(bytes)
}

fn accept_all<R: Readiness>(
    listener: &UnixListener,
    readiness: &mut R,
    connections: &mut Vec<Option<UnixStream>>,
) -> Result<(), String> {
    loop {
        match listener.accept() {
            Ok((connection, _)) => {
                connection.set_nonblocking(true).map_err(failed("set_nonblocking"))?;
                readiness.watch(&connection, connections.len(), Trigger::Edge)?;
                connections.push(Some(connection));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(format!("accept: {error}")),
        }
    }
}

/// Echoes until there is nothing more, as edge-triggered reading demands; false at the end of the stream.
fn echo_all(connection: &mut UnixStream, bytes: &mut u64) -> Result<bool, String> {
    let mut buffer = [0; 2 * LONGEST];
    loop {
        match connection.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(length) => {
                send(connection, &buffer[..length])?;
                *bytes += length as u64;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(format!("read by the server: {error}")),
        }
    }
}

/// One message on its way fits into any socket buffer, so there is no waiting for room here.
fn send(stream: &mut UnixStream, message: &[u8]) -> Result<(), String> {
    match stream.write(message) {
        Ok(length) if length == message.len() => Ok(()),
        Ok(length) => Err(format!("wrote {length} bytes of {}", message.len())),
        Err(error) => Err(format!("write: {error}")),
    }
}

struct Asked {
    messages: u64,
    bytes: u64,
    time: Duration,
}

struct Client {
    stream: UnixStream,
    message: Vec<u8>,
    /// So much of the message has come back.
    returned: usize,
    sent: u32,
}

fn ask<R: Readiness>(address: &SocketAddr, length: Duration) -> Result<Asked, String> {
    let mut readiness = R::new()?;
    let mut clients = Vec::with_capacity(CLIENTS);
    for key in 0..CLIENTS {
        let stream = UnixStream::connect_addr(address).map_err(failed("connect"))?;
        stream.set_nonblocking(true).map_err(failed("set_nonblocking"))?;
        readiness.watch(&stream, key, Trigger::Level)?;
        clients.push(Client { stream, message: Vec::new(), returned: 0, sent: 0 });
    }
    let mut asked = Asked { messages: 0, bytes: 0, time: Duration::ZERO };
    let start = Instant::now();
    for (key, client) in clients.iter_mut().enumerate() {
        client.ask(key)?;
    }
    let (mut ready, mut waiting, mut over) = (Vec::new(), CLIENTS, false);
    while waiting > 0 {
        readiness.wait(&mut ready)?;
        for &key in &ready {
            let client = &mut clients[key];
            if client.hear(key)? {
                asked.messages += 1;
                asked.bytes += client.message.len() as u64;
                if over {
                    waiting -= 1;
                } else {
                    client.ask(key)?;
                }
            }
        }
        asked.time = start.elapsed();
        over = over || asked.time >= length;
    }
    Ok(asked)
}

impl Client {
    /// Sends the next message; each has a length and bytes of its own.
    fn ask(&mut self, key: usize) -> Result<(), String> {
        self.sent += 1;
        let seed = key as u32 * 7919 + self.sent * 13;
        let length = 1 + seed as usize % LONGEST;
        self.message.clear();
        self.message.extend((0..length as u32).map(|at| seed.wrapping_add(at * 31) as u8));
        self.returned = 0;
        send(&mut self.stream, &self.message)
    }

    /// Reads once, as level-triggered reading may, and compares; true when the message is complete.
    fn hear(&mut self, key: usize) -> Result<bool, String> {
        let mut buffer = [0; LONGEST];
        let length = match self.stream.read(&mut buffer) {
            Ok(0) => return Err(format!("client {key}: the server hung up")),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(format!("client {key} was reported and has nothing to read"));
            }
            Err(error) => return Err(format!("client {key}: {error}")),
        };
        let expected = self.message.get(self.returned..self.returned + length);
        if expected != Some(&buffer[..length]) {
            return Err(format!("client {key} got other bytes than it sent"));
        }
        self.returned += length;
        Ok(self.returned == self.message.len())
    }
}
