//! The states of a TCP connection, as in the kernel's `tcp_states.h`.

/// A state of a TCP connection.
pub type TcpState = u8;

/// Open in both directions.
pub const ESTABLISHED: TcpState = 1;
/// Connecting: the SYN is sent and not answered.
pub const SYN_SENT: TcpState = 2;
/// Shut down on this side; the FIN is not acknowledged yet.
pub const FIN_WAIT1: TcpState = 4;
/// Not connected.
pub const CLOSE: TcpState = 7;
/// Shut down by the peer.
pub const CLOSE_WAIT: TcpState = 8;
/// Shut down by the peer, and then on this side; the FIN is not acknowledged yet.
pub const LAST_ACK: TcpState = 9;
/// Listening.
pub const LISTEN: TcpState = 10;
/// Shut down on both sides at the same time; the FIN of this side is not acknowledged yet.
pub const CLOSING: TcpState = 11;

/// Whether a connection in this state was shut down on this side, and the peer has not acknowledged
/// the FIN.
pub const fn awaits_ack(state: TcpState) -> bool {
    matches!(state, FIN_WAIT1 | LAST_ACK | CLOSING)
}
