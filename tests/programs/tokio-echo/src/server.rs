//! The server: echoes, and reports how many connections it holds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket, UnixListener};
use tokio::signal::unix::{SignalKind, signal};

use crate::Outcome;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// Counts a connection as long as it lives.
struct Held;

impl Held {
    fn new() -> Self {
        HELD.fetch_add(1, Ordering::SeqCst);
        Held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let _held = Held::new();
    let mut buffer = vec![0; 16 * 1024];
    // An error means that the client has gone, which some of them do on purpose.
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

async fn datagrams(socket: UdpSocket) {
    let mut buffer = vec![0; 65_536];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let answer = match &buffer[..length] {
            b"how many?" => HELD.load(Ordering::SeqCst).to_string().into_bytes(),
            same => same.to_vec(),
        };
        let _ = socket.send_to(&answer, peer).await;
    }
}

pub async fn run(path: &str) -> Outcome {
    let started = Instant::now();
    let wrong = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
    let mut end = signal(SignalKind::terminate()).map_err(wrong("SIGTERM"))?;
    let socket = TcpSocket::new_v4().map_err(wrong("socket"))?;
    socket.bind(([127, 0, 0, 1], 0).into()).map_err(wrong("bind"))?;
    let tcp = socket.listen(4096).map_err(wrong("listen"))?;
    let udp = UdpSocket::bind("127.0.0.1:0").await.map_err(wrong("udp"))?;
    let unix = UnixListener::bind(path).map_err(wrong("unix"))?;
    println!(
        "{} {}",
        tcp.local_addr().map_err(wrong("tcp port"))?.port(),
        udp.local_addr().map_err(wrong("udp port"))?.port()
    );
    tokio::spawn(datagrams(udp));

    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut ticks = 0_u128;
    loop {
        tokio::select! {
            Ok((stream, _)) = tcp.accept() => { tokio::spawn(echo(stream)); }
            Ok((stream, _)) = unix.accept() => { tokio::spawn(echo(stream)); }
            _ = tick.tick() => ticks += 1,
            _ = end.recv() => break,
        }
    }
    // An interval makes up for missed ticks: too few mean that it stood still, too many that it
    // fires early.
    let due = started.elapsed().as_millis() / 100 + 1;
    if ticks + 20 < due || ticks > due {
        return Err(format!("{ticks} ticks of the timer where {due} were due"));
    }
    match HELD.load(Ordering::SeqCst) {
        0 => Ok(()),
        held => Err(format!("{held} connections were never seen to end")),
    }
}
