//! The client: a thousand connections at once, and every byte that comes back is compared.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::{Noise, Outcome, bounded};

const CONNECTIONS: usize = 1000;
const ROUNDS: usize = 4;

/// Writes and reads at the same time, as either alone would fill the buffers and stop.
async fn converse<S>(stream: S, message: Vec<u8>) -> Outcome<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut answer = vec![0; message.len()];
    let sent = async {
        bounded("write", writer.write_all(&message)).await?;
        bounded("flush", writer.flush()).await
    };
    let (sent, got) = tokio::join!(sent, bounded("read", reader.read_exact(&mut answer)));
    sent?;
    got?;
    if answer != message {
        return Err(format!("{} bytes came back wrong", message.len()));
    }
    Ok(reader.unsplit(writer))
}

/// Runs all the tasks, and returns their results.
async fn all<T: Send + 'static>(mut tasks: JoinSet<Outcome<T>>) -> Outcome<Vec<T>> {
    let mut values = Vec::new();
    while let Some(done) = tasks.join_next().await {
        values.push(done.map_err(|error| error.to_string())??);
    }
    Ok(values)
}

fn message(seed: usize) -> Vec<u8> {
    let mut noise = Noise::new(seed as u64);
    let most = match noise.upto(50) {
        1 => 256 * 1024,
        2..=10 => 16 * 1024,
        _ => 500,
    };
    let length = noise.upto(most);
    noise.bytes(length)
}

async fn a_round(streams: Vec<TcpStream>, round: usize) -> Outcome<Vec<TcpStream>> {
    let mut tasks = JoinSet::new();
    for (i, stream) in streams.into_iter().enumerate() {
        tasks.spawn(converse(stream, message(round * CONNECTIONS + i)));
    }
    all(tasks).await
}

/// Asks over UDP how many connections the server holds, until it is the number expected.
async fn held(udp: &str, expected: usize) -> Outcome {
    let socket = bounded("udp bind", UdpSocket::bind("127.0.0.1:0")).await?;
    bounded("udp connect", socket.connect(udp)).await?;
    let mut buffer = [0; 100];
    let mut last = String::new();
    for _ in 0..400 {
        bounded("udp send", socket.send(b"how many?")).await?;
        let length = bounded("udp receive", socket.recv(&mut buffer)).await?;
        last = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if last == expected.to_string() {
            return Ok(());
        }
        sleep(Duration::from_millis(25)).await;
    }
    Err(format!("the server holds {last} connections, not {expected}"))
}

async fn tcp(tcp: &str, udp: &str) -> Outcome {
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let address = tcp.to_owned();
        tasks.spawn(async move { bounded("connect", TcpStream::connect(address)).await });
    }
    let mut streams = all(tasks).await?;
    held(udp, CONNECTIONS).await?;
    for round in 0..ROUNDS {
        streams = a_round(streams, round).await?;
    }

    // Idle: nothing may arrive, and afterwards everything still works.
    let mut tasks = JoinSet::new();
    for mut stream in streams {
        tasks.spawn(async move {
            let mut byte = [0];
            match timeout(Duration::from_millis(1500), stream.read(&mut byte)).await {
                Err(_) => Ok(stream),
                Ok(got) => Err(format!("an idle connection was told {got:?}")),
            }
        });
    }
    streams = all(tasks).await?;
    // A few of many first: the wait must find these among the idle ones.
    for n in 0..50 {
        let stream = streams.swap_remove(n * 17);
        let stream = converse(stream, message(n)).await?;
        streams.push(stream);
    }
    streams = a_round(streams, ROUNDS).await?;

    // Every kind of end: half a close with the rest read, a reset with data in flight, and a plain
    // close.
    let mut tasks = JoinSet::new();
    for (i, mut stream) in streams.into_iter().enumerate() {
        tasks.spawn(async move {
            match i % 3 {
                0 => {
                    let last = message(i);
                    let (mut reader, mut writer) = stream.split();
                    let mut rest = Vec::new();
                    let sent = async {
                        bounded("last write", writer.write_all(&last)).await?;
                        bounded("half close", writer.shutdown()).await
                    };
                    let (sent, got) = tokio::join!(sent, bounded("the rest", reader.read_to_end(&mut rest)));
                    sent?;
                    got?;
                    if rest != last {
                        return Err("what came after the half close is wrong".into());
                    }
                }
                1 => {
                    // Unread data at the close makes it a reset.
                    bounded("write before a reset", stream.write_all(&[7; 5000])).await?;
                    bounded("readable before a reset", stream.readable()).await?;
                }
                _ => {}
            }
            Ok(())
        });
    }
    all(tasks).await?;
    held(udp, 0).await
}

async fn unix(path: &str) -> Outcome {
    let mut tasks = JoinSet::new();
    for i in 0..50 {
        let path = path.to_owned();
        tasks.spawn(async move {
            let mut stream = bounded("unix connect", UnixStream::connect(path)).await?;
            for round in 0..20 {
                let mut noise = Noise::new(i * 100 + round);
                let length = noise.upto(300_000 / (round as usize + 1));
                let bytes = noise.bytes(length);
                stream = converse(stream, bytes).await?;
            }
            Ok(())
        });
    }
    all(tasks).await.map(drop)
}

async fn udp(address: &str) -> Outcome {
    let mut tasks = JoinSet::new();
    for i in 0..50 {
        let address = address.to_owned();
        tasks.spawn(async move {
            let socket = bounded("udp bind", UdpSocket::bind("127.0.0.1:0")).await?;
            bounded("udp connect", socket.connect(address)).await?;
            let mut buffer = vec![0; 65_536];
            // One datagram in flight at a time: a full buffer may drop one, which then gets no
            // answer.
            for n in 0..40 {
                let mut noise = Noise::new(i * 100 + n);
                let length = 20 + noise.upto(2000);
                let datagram = noise.bytes(length);
                bounded("udp send", socket.send(&datagram)).await?;
                let length = bounded("udp receive", socket.recv(&mut buffer)).await?;
                if buffer[..length] != datagram {
                    return Err("a datagram came back wrong".into());
                }
            }
            Ok(())
        });
    }
    all(tasks).await.map(drop)
}

async fn timers() -> Outcome {
    let mut tasks = JoinSet::new();
    for i in 0..300 {
        tasks.spawn(async move {
            let due = Duration::from_millis(Noise::new(i).upto(400) as u64);
            let start = Instant::now();
            sleep(due).await;
            let took = start.elapsed();
            if took < due || took > due + Duration::from_secs(2) {
                return Err(format!("a sleep of {due:?} took {took:?}"));
            }
            Ok(())
        });
    }
    all(tasks).await.map(drop)
}

async fn children() -> Outcome {
    let mut tasks = JoinSet::new();
    for i in 0..8 {
        tasks.spawn(async move {
            let mut child = tokio::process::Command::new("cat")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(|error| error.to_string())?;
            let (mut to, mut from) = (
                child.stdin.take().ok_or("no pipe to the child")?,
                child.stdout.take().ok_or("no pipe from the child")?,
            );
            let bytes = Noise::new(i).bytes(300_000);
            let mut back = Vec::new();
            let sent = async {
                let sent = bounded("write to a child", to.write_all(&bytes)).await;
                drop(to);
                sent
            };
            let (sent, got) = tokio::join!(sent, bounded("read from a child", from.read_to_end(&mut back)));
            sent?;
            got?;
            let status = bounded("the end of a child", child.wait()).await?;
            if back != bytes || !status.success() {
                return Err("what went through cat came back wrong".into());
            }
            Ok(())
        });
    }
    all(tasks).await.map(drop)
}

pub async fn run(tcp_port: &str, udp_port: &str, path: &str) -> Outcome {
    let (tcp_address, udp_address) = (format!("127.0.0.1:{tcp_port}"), format!("127.0.0.1:{udp_port}"));
    let start = Instant::now();
    // The first one checks the count of connections, so it runs alone; the others run together, for
    // the mixture.
    tcp(&tcp_address, &udp_address).await?;
    let (a, b, c, d) = tokio::join!(unix(path), udp(&udp_address), timers(), children());
    a?;
    b?;
    c?;
    d?;
    held(&udp_address, 0).await?;
    println!(
        "{CONNECTIONS} connections for {ROUNDS} rounds, then idle, then closed; unix streams, datagrams, timers, children: {:.1} s",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
