//! Sockets that are shut down, disconnected and connected again, their urgent data, their error
//! queues, and their options.

use libc::c_int;

use super::said;
use crate::calls;
use crate::kinds::Kind;
use crate::op::Op;
use crate::world::{Desc, World};

impl World<'_> {
    pub(super) fn shut_down(&mut self, desc: Desc, how: i64) {
        let how = how.rem_euclid(3);
        let answer = calls::shutdown(desc.fd, how as c_int);
        self.files[desc.file].closing |= answer.is_ok() && how > 0;
        self.files[desc.file].shut_for_reading |= answer.is_ok() && how != 1;
        self.say(|| format!("shutdown({}, {how}) = {answer:?}", desc.fd));
    }

    pub(super) fn send_urgent(&mut self, desc: Desc) {
        let outcome = calls::send_urgent(desc.fd);
        if let Some(peer) = self.files[desc.file].peer {
            self.files[peer].got_urgent |= outcome.is_ok();
        }
        self.say(|| format!("send({}, 1, MSG_OOB) = {}", desc.fd, said(outcome)));
    }

    pub(super) fn disconnect(&mut self, desc: Desc) {
        if matches!(self.kind(desc), Kind::Tcp | Kind::Udp) {
            let answer = calls::disconnect(desc.fd);
            self.say(|| format!("connect({}, no address) = {answer:?}", desc.fd));
        }
    }

    pub(super) fn connect_again(&mut self, desc: Desc, op: Op) {
        if !self.kind(desc).is_socket() {
            return;
        }
        let found = self.desc(op.index(1)).and_then(|listener| self.files[listener.file].address);
        let nobody = match self.kind(desc) {
            Kind::Tcp | Kind::Mptcp | Kind::TcpListener | Kind::Udp => calls::Address::Internet(0x7f00_0001, 9),
            _ => calls::Address::Unix(0),
        };
        let answer = calls::connect(desc.fd, found.unwrap_or(nobody));
        self.say(|| format!("connect({}, {:?}) = {answer:?}", desc.fd, found.unwrap_or(nobody)));
    }

    pub(super) fn connect_by_write(&mut self, desc: Desc, op: Op) {
        if self.kind(desc) != Kind::Tcp {
            return;
        }
        let found = self.desc(op.index(1)).and_then(|listener| self.files[listener.file].address);
        let to = match found {
            Some(to @ calls::Address::Internet(..)) => to,
            _ => calls::Address::Internet(0x7f00_0001, 9),
        };
        let outcome = calls::connect_by_write(desc.fd, to, op.args[2]);
        self.say(|| format!("sendto({}, 1, MSG_FASTOPEN, {to:?}) = {}", desc.fd, said(outcome)));
    }

    pub(super) fn take_errors(&mut self, desc: Desc, most: i64) {
        if !matches!(self.kind(desc), Kind::Udp | Kind::Tcp) {
            return;
        }
        self.note_error(desc);
        let taken = (0..most).take_while(|_| calls::take_error(desc.fd).is_ok()).count();
        self.say(|| format!("{taken} times recvmsg({}, MSG_ERRQUEUE)", desc.fd));
    }

    pub(super) fn set_option(&mut self, desc: Desc, op: Op) {
        const STAMPS: i64 = 2 | 16 | 2048;
        let Some(&(name, level, option)) = calls::OPTIONS.get(op.index(1)) else { return };
        if !self.kind(desc).is_socket() {
            return;
        }
        self.note_error(desc);
        let value = if option == libc::SO_TIMESTAMPING { op.args[2] * STAMPS } else { op.args[2] };
        if option == libc::SO_RCVLOWAT {
            self.files[desc.file].low_water = true;
        }
        let answer = calls::set_option(desc.fd, level, option, value as c_int);
        self.say(|| format!("setsockopt({}, {name}, {value}) = {answer:?}", desc.fd));
    }
}
