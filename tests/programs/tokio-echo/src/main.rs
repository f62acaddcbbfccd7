//! A tokio server that echoes over TCP, UDP and a unix stream, and the client that checks it.
//!
//! tokio registers every socket once, edge-triggered, for both directions, takes a short read or
//! write as the end of the data or of the space, and wakes its loop by an eventfd that it never
//! reads. Four worker threads take turns in the one wait.
//!
//! `tokio-echo server SOCKET` prints the TCP and the UDP port, and ends with status 0 on SIGTERM.
//! `tokio-echo client TCP UDP SOCKET` ends with status 0 when every answer was right.

mod client;
mod server;

use std::future::Future;
use std::time::Duration;

/// The longest time for any single step. A lost edge never arrives; a slow machine is not an error.
pub const BOUND: Duration = Duration::from_secs(20);

pub type Outcome<T = ()> = Result<T, String>;

/// Waits for `step`, up to the bound, and reports the step that failed.
pub async fn bounded<T, E: std::fmt::Display>(what: &str, step: impl Future<Output = Result<T, E>>) -> Outcome<T> {
    match tokio::time::timeout(BOUND, step).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{what}: {error}")),
        Err(_) => Err(format!("{what}: nothing for {} s", BOUND.as_secs())),
    }
}

/// Reproducible noise (xorshift64*); not worth a crate.
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        let mut noise = Noise(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        noise.next();
        noise
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number in `1..=most`.
    pub fn upto(&mut self, most: usize) -> usize {
        (self.next() >> 11) as usize % most + 1
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.next() >> 32) as u8).collect()
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
    let outcome = match words[..] {
        ["server", socket] => runtime.block_on(server::run(socket)),
        ["client", tcp, udp, socket] => runtime.block_on(client::run(tcp, udp, socket)),
        _ => Err("usage: tokio-echo server SOCKET | client TCP UDP SOCKET".into()),
    };
    if let Err(what) = outcome {
        eprintln!("tokio-echo: {what}");
        std::process::exit(1);
    }
}
