//! The states of a TCP connection, as in the kernel's `tcp_states.h`.

/// A state.
pub type TcpState = u8;

/// Open both ways.
pub const ESTABLISHED: TcpState = 1;
/// Begun, and not answered yet.
pub const SYN_SENT: TcpState = 2;
/// Shut on this side; the end is not acknowledged yet.
pub const FIN_WAIT1: TcpState = 4;
/// Not connected, or not any more.
pub const CLOSE: TcpState = 7;
/// Shut by the peer.
pub const CLOSE_WAIT: TcpState = 8;
/// Shut by the peer, and then on this side, which is not acknowledged yet.
pub const LAST_ACK: TcpState = 9;
/// Listening.
pub const LISTEN: TcpState = 10;
/// Shut on both sides at the same time; this one is not acknowledged yet.
pub const CLOSING: TcpState = 11;

/// Whether a connection in this state was shut on this side, and the peer has not acknowledged it.
pub const fn awaits_ack(state: TcpState) -> bool {
    matches!(state, FIN_WAIT1 | LAST_ACK | CLOSING)
}
