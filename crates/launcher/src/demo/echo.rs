//! The demo's work: an echo server in one thread, edge-triggered as servers are written, and all
//! its clients in another, level-triggered.
//!
//! They are joined by unix sockets, because a sandbox without epoll often has no network either.
//! Each client has one message on its way and compares what comes back, byte by byte.

use super::Score;
use super::readiness::Readiness;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

pub const CLIENTS: usize = 100;

const LONGEST: usize = 512;

/// Runs the server and its clients for a while. The events are the messages that were read, at both
/// ends.
pub fn run(make: fn() -> Result<Readiness, String>, length: Duration) -> Result<Score, String> {
    let pairs: Result<Vec<_>, _> = (0..CLIENTS).map(|_| pair()).collect();
    let (near, far): (Vec<_>, Vec<_>) = pairs.map_err(|error| format!("socketpair: {error}"))?.into_iter().unzip();
    std::thread::scope(|scope| {
        let server = scope.spawn(move || serve(make()?, far));
        let asked = ask(make, near, length);
        let served = server.join().map_err(|_| "the server panicked")?;
        match (served, asked) {
            (Ok(served), Ok((asked, score))) if served == asked => Ok(score),
            (Ok(served), Ok((asked, _))) => Err(format!("the server read {served} bytes of {asked}")),
            // If one fails, so does the other, and it is not known here which failed first.
            (Err(server), Err(clients)) => Err(format!("server: {server}; clients: {clients}")),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
        }
    })
}

fn pair() -> std::io::Result<(UnixStream, UnixStream)> {
    let (near, far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    far.set_nonblocking(true)?;
    Ok((near, far))
}

/// Runs until every client has gone; returns the number of bytes that it echoed.
fn serve(mut readiness: Readiness, connections: Vec<UnixStream>) -> Result<u64, String> {
    let mut connections: Vec<_> = connections.into_iter().map(Some).collect();
    for (key, connection) in connections.iter().flatten().enumerate() {
        readiness.watch(connection, key, true)?;
    }
    let (mut ready, mut gone, mut bytes) = (Vec::new(), 0, 0);
    while gone < CLIENTS {
        readiness.wait(&mut ready)?;
        for &key in &ready {
            if let Some(connection) = &mut connections[key]
                && !echo_all(connection, &mut bytes)?
            {
                readiness.forget(key);
                connections[key] = None;
                gone += 1;
            }
        }
    }
    Ok(bytes)
}

/// Echoes until there is nothing more, as edge-triggered reading demands; false at the end.
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

/// Sends a message. It fits into any socket buffer, so this never waits for space.
fn send(stream: &mut UnixStream, message: &[u8]) -> Result<(), String> {
    stream.write_all(message).map_err(|error| format!("write: {error}"))
}

struct Client {
    stream: UnixStream,
    message: Vec<u8>,
    /// The number of bytes of the message that have come back.
    returned: usize,
    sent: u32,
}

/// Returns the number of bytes that came back, and the score.
fn ask(
    make: fn() -> Result<Readiness, String>,
    streams: Vec<UnixStream>,
    length: Duration,
) -> Result<(u64, Score), String> {
    let mut readiness = make()?;
    let client = |stream| Client { stream, message: Vec::new(), returned: 0, sent: 0 };
    let mut clients: Vec<Client> = streams.into_iter().map(client).collect();
    let start = Instant::now();
    for (key, client) in clients.iter_mut().enumerate() {
        readiness.watch(&client.stream, key, false)?;
        client.ask(key)?;
    }
    let (mut ready, mut waiting, mut bytes) = (Vec::new(), CLIENTS, 0);
    let mut score = Score { events: 0, time: Duration::ZERO };
    while waiting > 0 {
        readiness.wait(&mut ready)?;
        for &key in &ready {
            let client = &mut clients[key];
            if client.hear(key)? {
                // A message was read by the server, and its echo by the client.
                score.events += 2;
                bytes += client.message.len() as u64;
                match score.time < length {
                    true => client.ask(key)?,
                    false => waiting -= 1,
                }
            }
        }
        score.time = start.elapsed();
    }
    Ok((bytes, score))
}

impl Client {
    /// Sends the next message; each has its own length and bytes.
    fn ask(&mut self, key: usize) -> Result<(), String> {
        self.sent += 1;
        let seed = key as u32 * 7919 + self.sent * 13;
        let length = 1 + seed as usize % LONGEST;
        self.message.clear();
        self.message.extend((0..length as u32).map(|at| seed.wrapping_add(at * 31) as u8));
        self.returned = 0;
        send(&mut self.stream, &self.message)
    }

    /// Reads once, as level-triggered reading may, and compares; true if the message is complete.
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
        if self.message.get(self.returned..self.returned + length) != Some(&buffer[..length]) {
            return Err(format!("client {key} received other bytes than it sent"));
        }
        self.returned += length;
        Ok(self.returned == self.message.len())
    }
}
