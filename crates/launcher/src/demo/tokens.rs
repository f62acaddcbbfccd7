//! Tokens go round through a ring of pipes, watched level-triggered. Most pipes are idle at any moment, as most connections of a server are.
//!
//! An event takes one token out of its pipe and puts it into the next one. Two tokens in one pipe take two events, so a level that is
//! reported once only loses a token; each token says how often it hopped, so one that is lost, doubled or in the wrong pipe is found.

use super::Score;
use super::readiness::{Readiness, Trigger, failed};
use nix::fcntl::OFlag;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

pub const PIPES: usize = 200;

/// So many tokens are on their way at any moment.
const AT_ONCE: usize = 20;

/// Hops until a token has been everywhere; then it retires, and a new one starts.
const ROUND: u32 = PIPES as u32;

/// A token as it lies in a pipe: its number, and its hops so far.
#[derive(Clone, Copy)]
struct Token {
    number: u32,
    hops: u32,
}

impl Token {
    const SIZE: usize = 8;

    fn encode(self) -> [u8; Self::SIZE] {
        let bytes = u64::from(self.number) << 32 | u64::from(self.hops);
        bytes.to_le_bytes()
    }

    fn decode(bytes: [u8; Self::SIZE]) -> Self {
        let bytes = u64::from_le_bytes(bytes);
        let (number, hops) = ((bytes >> 32) as u32, bytes as u32);
        Self { number, hops }
    }

    /// The pipe that it is in, or belongs in next. The starts are spread over the ring.
    fn pipe(self) -> usize {
        (self.number as usize * 37 + self.hops as usize) % PIPES
    }
}

struct Ring {
    /// Read end and write end.
    pipes: Vec<(File, File)>,
    /// By a token's number: the hops it made, which it carries too.
    hops: Vec<u32>,
}

/// Keeps the tokens going for a while, then counts what is left of them.
pub fn run<R: Readiness>(length: Duration) -> Result<Score, String> {
    let mut ring = Ring::new()?;
    let mut readiness = R::new()?;
    for (key, (output, _)) in ring.pipes.iter().enumerate() {
        readiness.watch(output, key, Trigger::Level)?;
    }
    for _ in 0..AT_ONCE {
        ring.launch()?;
    }
    let mut ready = Vec::new();
    let mut events = 0;
    let start = Instant::now();
    let time = loop {
        readiness.wait(&mut ready)?;
        for &pipe in &ready {
            let token = ring.take(pipe)?.ok_or_else(|| format!("pipe {pipe} was reported and is empty"))?;
            ring.pass_on(token)?;
            events += 1;
        }
        let time = start.elapsed();
        if time >= length {
            break time;
        }
    };
    ring.count_up(events)?;
    Ok(Score { events, time })
}

impl Ring {
    fn new() -> Result<Self, String> {
        let pipes = (0..PIPES).map(|_| {
            let pipe = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC);
            pipe.map(|(output, input)| (File::from(output), File::from(input)))
        });
        Ok(Self { pipes: pipes.collect::<Result<_, _>>().map_err(failed("pipe2"))?, hops: Vec::new() })
    }

    fn launch(&mut self) -> Result<(), String> {
        let number = self.hops.len() as u32;
        self.hops.push(0);
        self.put(Token { number, hops: 0 })
    }

    fn put(&mut self, token: Token) -> Result<(), String> {
        let (_, input) = &mut self.pipes[token.pipe()];
        match input.write(&token.encode()) {
            Ok(Token::SIZE) => Ok(()),
            Ok(short) => Err(format!("wrote {short} bytes of a token")),
            Err(error) => Err(format!("write: {error}")),
        }
    }

    /// Takes one token out of a pipe, if there is one, and checks that it belongs there.
    fn take(&mut self, pipe: usize) -> Result<Option<Token>, String> {
        let mut bytes = [0; Token::SIZE];
        match self.pipes[pipe].0.read(&mut bytes) {
            Ok(Token::SIZE) => {}
            Ok(short) => return Err(format!("read {short} bytes of a token")),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(format!("read: {error}")),
        }
        let token = Token::decode(bytes);
        if token.pipe() != pipe || self.hops.get(token.number as usize) != Some(&token.hops) {
            let Token { number, hops } = token;
            return Err(format!("token {number} with {hops} hops is wrong in pipe {pipe}"));
        }
        Ok(Some(token))
    }

    fn pass_on(&mut self, token: Token) -> Result<(), String> {
        let hops = token.hops + 1;
        self.hops[token.number as usize] = hops;
        if hops == ROUND {
            return self.launch();
        }
        self.put(Token { hops, ..token })
    }

    /// Empties the pipes: every token that has not retired must be there, and the hops of all must be the events.
    fn count_up(&mut self, events: u64) -> Result<(), String> {
        let mut found = 0;
        for pipe in 0..PIPES {
            while self.take(pipe)?.is_some() {
                found += 1;
            }
        }
        let hops: u64 = self.hops.iter().map(|hops| u64::from(*hops)).sum();
        if found != AT_ONCE || hops != events {
            return Err(format!("{found} tokens of {AT_ONCE} are left, with {hops} hops in {events} events"));
        }
        Ok(())
    }
}
