//! Stories of sleeps on unread bytes.

use epolyfill_facts::{Call, Fact, Kind, NO_FD, Op};
use std::vec::Vec;

use crate::rules::testing::Story;
use crate::{Grade, Rule};
use epolyfill_facts::mask::{EDGE, IN, OUT, PRI, RDHUP};

const SLEPT: (Rule, Grade) = (Rule::SleptEdge, Grade::Fault);
const SUSPECT: (Rule, Grade) = (Rule::SleptEdge, Grade::Suspect);

fn story(kind: Kind) -> Story {
    let mut story = Story::new();
    story.world.kinds.insert(5, kind);
    story.create(3);
    story.add(3, 5, IN | EDGE | RDHUP);
    story
}

/// A report, one read of 64 bytes, and a sleep on the rest until the next message of 100 bytes.
fn round(story: &mut Story, timeout_ns: i64, left: u64, ms: u64) {
    story.reports(3, &[(5, IN)]);
    story.call(Call::Recvfrom, 5, 64, 64);
    story.world.unread.insert(5, left);
    story.waits(3, timeout_ns);
    story.pass_ms(ms);
    story.world.unread.insert(5, left + 100);
}

#[test]
fn slept_edge_bad_is_a_fault_at_the_second_late_read() {
    let mut story = story(Kind::UnixStream);
    story.waits(3, -1);
    round(&mut story, -1, 36, 300);
    round(&mut story, -1, 72, 1);
    round(&mut story, -1, 8, 300);
    assert_eq!(story.findings(), []);
    round(&mut story, -1, 44, 300);
    assert_eq!(story.findings(), [SLEPT]);
    let finding = story.auditor.findings()[0];
    assert_eq!((finding.count, finding.fd, finding.numbers[1..].to_vec()), (2, 5, [64, 1, 8, 4, 0].to_vec()));
    round(&mut story, -1, 80, 300);
    assert_eq!(story.auditor.findings()[0].count, 3);
}

#[test]
fn a_wait_that_returns_late_with_the_edge_of_the_bytes_is_no_sleep() {
    let mut story = story(Kind::Tcp);
    story.waits(3, -1);
    for _ in 0..10 {
        // More comes after the read. The thread is without a processor for long in the wait,
        // which has the event.
        story.reports(3, &[(5, IN)]);
        story.call(Call::Recvfrom, 5, 1024, 51);
        story.world.unread.insert(5, 51);
        story.waits(3, -1);
        story.ns += 20_000_000;
    }
    assert_eq!(story.findings(), []);
}

#[test]
fn slept_edge_good_and_a_short_read_that_empties_are_no_finding() {
    for last in [(Call::Recvfrom, 64, -11), (Call::Recvfrom, 64, 36)] {
        let mut story = story(Kind::UnixStream);
        story.waits(3, -1);
        for _ in 0..6 {
            story.reports(3, &[(5, IN)]);
            story.call(Call::Recvfrom, 5, 64, 64);
            story.call(last.0, 5, last.1, last.2);
            story.world.unread.insert(5, 0);
            story.waits(3, -1);
            story.pass_ms(300);
            story.world.unread.insert(5, 100);
        }
        assert_eq!(story.findings(), []);
    }
}

/// Three reports of these bits, each followed by a short read and a sleep on what it left.
fn short_reads_that_leave(kind: Kind, bits: u32) -> Story {
    let mut story = story(kind);
    story.waits(3, -1);
    for _ in 0..3 {
        story.reports(3, &[(5, bits)]);
        story.call(Call::Read, 5, 1024, 5);
        story.world.unread.insert(5, 200);
        story.waits(3, -1);
        story.pass_ms(100);
        story.world.unread.insert(5, 300);
    }
    story
}

#[test]
fn short_reads_that_leave_bytes_are_late_like_full_ones() {
    assert_eq!(short_reads_that_leave(Kind::Tty, IN).findings(), [SLEPT]);
}

#[test]
fn a_short_read_has_emptied_a_tcp_socket_and_needs_no_look() {
    for (kind, looks) in [(Kind::Tcp, 0), (Kind::UnixStream, 3)] {
        let mut story = story(kind);
        story.waits(3, -1);
        for _ in 0..3 {
            story.reports(3, &[(5, IN)]);
            story.call(Call::Recvfrom, 5, 1024, 51);
            story.waits(3, -1);
            story.pass_ms(300);
        }
        assert_eq!(story.world.looks, looks);
    }
}

#[test]
fn a_read_that_ends_at_the_mark_of_urgent_data_leaves_what_is_behind_it() {
    assert_eq!(short_reads_that_leave(Kind::Tcp, IN | PRI).findings(), [SLEPT]);
}

#[test]
fn a_report_after_the_beginning_of_a_short_read_is_still_owed() {
    let mut story = story(Kind::Tcp);
    story.waits(3, -1);
    // Another thread reads, and what arrives after it is reported before the read has returned.
    let began_ns = story.ns;
    story.reports(3, &[(5, IN)]);
    story.fact(Fact::Call { call: Call::Recvfrom, fd: 5, other: NO_FD, asked: 1024, answer: 5, flags: 0, began_ns });
    story.world.unread.insert(5, 200);
    story.waits(3, -1);
    assert_eq!(story.world.looks, 1);
}

#[test]
fn paused_edge_reads_on_by_its_own_clock() {
    let mut story = story(Kind::UnixStream);
    story.waits(3, -1);
    for turn in 0..20 {
        // A report in the pause, of which one time in four the end of the pause is seen at once.
        story.reports(3, &[(5, IN)]);
        if turn % 4 != 0 {
            story.waits(3, 7_000_000);
            story.pass_ms(7);
            story.reports(3, &[]);
        }
        story.call(Call::Recvfrom, 5, 1000, 1000);
        story.world.unread.insert(5, 700);
        story.waits(3, 20_000_000);
        story.pass_ms(19);
        story.world.unread.insert(5, 1400);
    }
    assert_eq!(story.findings(), []);
    assert_eq!((story.auditor.summary().resumed_sites, story.auditor.summary().resumed_reads), (1, 15));
}

#[test]
fn proxy_edge_waits_for_its_other_side() {
    let mut story = story(Kind::UnixStream);
    story.world.kinds.insert(6, Kind::UnixStream);
    story.add(3, 6, OUT | EDGE);
    story.waits(3, -1);
    for _ in 0..5 {
        story.reports(3, &[(5, IN)]);
        story.call(Call::Read, 5, 16384, 16384);
        story.call(Call::Sendto, 6, 16384, 10000);
        story.call(Call::Sendto, 6, 6384, -11);
        story.world.unread.insert(5, 1000);
        story.waits(3, -1);
        story.pass_ms(40);
        story.world.unread.insert(5, 2000);
        story.reports(3, &[(5, IN)]);
        story.waits(3, -1);
        story.pass_ms(40);
        story.reports(3, &[(6, OUT)]);
        story.call(Call::Sendto, 6, 6384, 6384);
        story.waits(3, -1);
    }
    assert_eq!(story.findings(), []);
}

#[test]
fn wake_edge_is_never_owed() {
    let mut story = story(Kind::Eventfd);
    story.world.unread.insert(5, 1);
    for _ in 0..10 {
        story.waits(3, -1);
        story.pass_ms(1500);
        story.reports(3, &[(5, IN)]);
    }
    assert_eq!(story.findings(), []);
}

/// A burst of three connections, of which `accepts` are taken.
fn burst(kind: Kind, accepts: i64, timeout_ns: i64) -> Story {
    let mut story = story(kind);
    story.waits(3, timeout_ns);
    story.reports(3, &[(5, IN)]);
    for accepted in 0..accepts {
        story.call(Call::Accept, 5, 0, 10 + accepted);
    }
    story.world.unread.insert(5, 2);
    story.waits(3, timeout_ns);
    story
}

#[test]
fn a_queue_of_connections_that_is_left_after_one_accept_is_a_fault() {
    let mut story = burst(Kind::TcpListener, 1, -1);
    story.pass_ms(900);
    assert_eq!(story.findings(), []);
    story.pass_ms(200);
    assert_eq!(story.findings(), [SLEPT]);
    assert_eq!(story.auditor.findings()[0].numbers[1..], [1, 1, 2, 1, 1]);
    story.pass_ms(5000);
    assert_eq!(story.auditor.findings()[0].count, 1);
}

#[test]
fn a_queue_that_is_left_at_exit_is_a_fault() {
    let mut story = burst(Kind::TcpListener, 1, 2_000_000_000);
    story.pass_ms(400);
    story.reports(3, &[]);
    story.fact(epolyfill_facts::Fact::Exit { status: 0 });
    assert_eq!(story.findings(), [SLEPT]);
}

#[test]
fn one_accept_for_each_report_is_late() {
    let mut story = story(Kind::TcpListener);
    story.waits(3, -1);
    for client in 0..4 {
        story.reports(3, &[(5, IN)]);
        story.call(Call::Accept, 5, 0, 10 + client);
        story.world.unread.insert(5, 3);
        story.waits(3, -1);
        story.pass_ms(50);
        story.world.unread.insert(5, 4);
    }
    assert_eq!(story.findings(), [SLEPT]);
}

#[test]
fn a_limit_of_connections_paces_a_queue() {
    let mut story = burst(Kind::TcpListener, 2, -1);
    story.pass_ms(3500);
    assert_eq!(story.findings(), [SUSPECT]);
    let mut never = burst(Kind::TcpListener, 0, -1);
    never.pass_ms(3500);
    assert_eq!(never.findings(), [SUSPECT]);
}

#[test]
fn a_queue_is_left_at_the_limit_of_descriptors() {
    let mut story = burst(Kind::TcpListener, 0, -1);
    story.reports(3, &[(5, IN)]);
    story.call(Call::Accept, 5, 0, -24);
    story.waits(3, -1);
    story.pass_ms(1500);
    assert_eq!(story.findings(), [SUSPECT]);
    assert_eq!(story.auditor.findings()[0].numbers[2], -24);
}

#[test]
fn a_stream_that_is_left_is_a_suspect_after_three_seconds() {
    let mut story = story(Kind::Tcp);
    story.waits(3, -1);
    round(&mut story, -1, 36, 2900);
    assert_eq!(story.findings(), []);
    story.pass_ms(300);
    assert_eq!(story.findings(), [SUSPECT]);
}

#[test]
fn bytes_that_vanish_make_a_descriptor_foreign() {
    let mut story = story(Kind::Tcp);
    story.waits(3, -1);
    round(&mut story, -1, 36, 0);
    story.world.unread.insert(5, 20);
    story.pass_ms(5000);
    assert_eq!((story.findings(), story.auditor.summary().foreign), (Vec::new(), 1));
}

#[test]
fn a_level_or_a_mask_that_is_set_anew_owes_nothing() {
    let mut level = Story::new();
    level.create(3);
    level.add(3, 5, IN);
    let mut anew = story(Kind::Tcp);
    for story in [&mut level, &mut anew] {
        story.waits(3, -1);
        for _ in 0..4 {
            story.reports(3, &[(5, IN)]);
            story.call(Call::Recvfrom, 5, 64, 64);
            story.control(3, Op::Mod, 5, story.auditor.mirror().registration(0).map_or(0, |r| r.events), 0);
            story.world.unread.insert(5, 36);
            story.waits(3, -1);
            story.pass_ms(5000);
        }
        assert_eq!(story.findings(), []);
    }
}

#[test]
fn a_worker_that_reads_is_of_the_programs_own_accord() {
    let mut story = story(Kind::Tcp);
    story.waits(3, -1);
    for _ in 0..4 {
        story.reports(3, &[(5, IN)]);
        story.world.unread.insert(5, 100);
        story.waits(3, -1);
        story.pass_ms(20);
        story.reports(3, &[(5, IN)]);
        story.tid = 2;
        story.call(Call::Recvfrom, 5, 64, 64);
        story.tid = 1;
        story.waits(3, -1);
        story.pass_ms(20);
    }
    assert_eq!(story.findings(), []);
}

#[test]
fn a_sleep_while_another_thread_holds_the_report_does_not_count() {
    let mut story = story(Kind::Tcp);
    story.waits(3, -1);
    story.reports(3, &[(5, IN)]);
    story.world.unread.insert(5, 100);
    story.tid = 2;
    story.waits(3, -1);
    story.pass_ms(5000);
    assert_eq!(story.findings(), []);
}
