//! Descriptors of a living process in words, from /proc: "tcp 127.0.0.1:80 <- 127.0.0.1:4711".

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The descriptors that are still open, in words.
pub fn describe(pid: i32, fds: &[i32]) -> Vec<(i32, String)> {
    let link = |fd: &i32| {
        let path = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
        Some((*fd, path.to_string_lossy().into_owned()))
    };
    let links: Vec<(i32, String)> = fds.iter().filter_map(link).collect();
    let is_socket = |(_, link): &(i32, String)| link.starts_with("socket:[");
    let sockets = if links.iter().any(is_socket) { sockets(pid) } else { HashMap::new() };
    links.into_iter().map(|(fd, link)| (fd, words(&link, &sockets))).collect()
}

fn words(link: &str, sockets: &HashMap<u64, String>) -> String {
    let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
    if let Some(inode) = inode {
        let known = inode.parse().ok().and_then(|inode: u64| sockets.get(&inode));
        return known.cloned().unwrap_or_else(|| "socket".to_owned());
    }
    if link.starts_with("pipe:[") {
        return "pipe".to_owned();
    }
    let anonymous = link.strip_prefix("anon_inode:");
    anonymous.map_or(link, |name| name.trim_start_matches('[').trim_end_matches(']')).to_owned()
}

/// The sockets of a network, read when one is asked for first.
#[derive(Debug, Default)]
pub struct Sockets(Option<HashMap<u64, String>>);

/// A descriptor as `strace -yy` shows it. The peer of a unix socket is left out.
pub fn as_strace(pid: i32, fd: i32, known: &mut Sockets) -> Option<String> {
    let link = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?.to_string_lossy().into_owned();
    let Some(inode) = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) else {
        return Some(link);
    };
    let sockets = known.0.get_or_insert_with(|| sockets(pid));
    let words = inode.parse().ok().and_then(|inode: u64| sockets.get(&inode));
    let (kind, rest) = words.map_or(("", ""), |words| words.split_once(' ').unwrap_or((words, "")));
    Some(match kind {
        "tcp" | "udp" => {
            let rest = rest.trim_start_matches("listener ").replace(" <- ", "->");
            format!("{}:[{rest}]", kind.to_uppercase())
        }
        "unix" => {
            let kind = match rest.split(' ').next().unwrap_or_default() {
                "datagram" => "DGRAM",
                "seqpacket" => "SEQPACKET",
                _ => "STREAM",
            };
            format!("UNIX-{kind}:[{inode}]")
        }
        _ => link,
    })
}

/// The sockets of a process's network by their inodes.
fn sockets(pid: i32) -> HashMap<u64, String> {
    let mut found = HashMap::new();
    for (file, kind) in [("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp")] {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(|line| internet(line, kind)));
    }
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/unix")).unwrap_or_default();
    found.extend(text.lines().skip(1).filter_map(unix));
    found
}

/// A line of /proc/net/tcp and its like.
fn internet(line: &str, kind: &str) -> Option<(u64, String)> {
    const LISTEN: &str = "0A";
    let mut columns = line.split_ascii_whitespace().skip(1);
    let (local, remote, state) = (address(columns.next()?)?, address(columns.next()?)?, columns.next()?);
    let inode = columns.nth(5)?.parse().ok()?;
    Some((
        inode,
        match (state, remote.port()) {
            (LISTEN, _) if kind == "tcp" => format!("tcp listener {local}"),
            (_, 0) => format!("{kind} {local}"),
            _ => format!("{kind} {local} <- {remote}"),
        },
    ))
}

/// An address of these files: words in the byte order of the machine, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let mut words = ip.as_bytes().chunks(8).map(|word| {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        Some(word.to_ne_bytes())
    });
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(words.next()??).into(),
        32 => {
            let mut bytes = [0; 16];
            for (to, word) in bytes.chunks_mut(4).zip(words) {
                to.copy_from_slice(&word?);
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// A line of /proc/net/unix.
fn unix(line: &str) -> Option<(u64, String)> {
    let mut columns = line.split_ascii_whitespace().skip(4);
    let kind = match columns.next()? {
        "0001" => "unix stream",
        "0002" => "unix datagram",
        _ => "unix seqpacket",
    };
    let inode = columns.nth(1)?.parse().ok()?;
    let path = columns.next().map_or(String::new(), |path| format!(" {path}"));
    Some((inode, kind.to_owned() + &path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    #[test]
    fn sockets_are_described_with_both_addresses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap();
        let client = TcpStream::connect(own).unwrap();
        let (server, peer) = listener.accept().unwrap();
        let fds = [&listener.as_raw_fd(), &server.as_raw_fd()].map(|fd| *fd);
        let pid = std::process::id() as i32;
        let expected = vec![(fds[0], format!("tcp listener {own}")), (fds[1], format!("tcp {own} <- {peer}"))];
        assert_eq!(describe(pid, &fds), expected);
        drop(client);
    }

    #[test]
    fn other_files_are_described_by_their_kind() {
        let none = HashMap::new();
        assert_eq!(words("anon_inode:[eventfd]", &none), "eventfd");
        assert_eq!(words("anon_inode:inotify", &none), "inotify");
        assert_eq!(words("pipe:[7]", &none), "pipe");
        assert_eq!(words("/dev/tty", &none), "/dev/tty");
        let line = "ffff: 00000003 00000000 00000000 0001 03 4711 /run/a.sock";
        assert_eq!(unix(line), Some((4711, "unix stream /run/a.sock".to_owned())));
    }
}
