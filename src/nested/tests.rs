//! Instances in instances, without threads: the inner one watches a source, whose level the test
//! sets.

use crate::instance::testing::{ET, Epoll, Fd, IN, clear, post, source};

/// A source in an inner instance in an outer one, with these masks.
fn chain(inner_mask: u32, outer_mask: u32) -> (Epoll, Epoll, Fd) {
    let (outer, inner, a) = (Epoll::new(), Epoll::new(), source());
    inner.add(&a, inner_mask);
    outer.add(&inner.fd, outer_mask);
    (outer, inner, a)
}

#[test]
fn an_instance_is_readable_while_a_wait_on_it_would_report_something() {
    // N1.
    let (outer, inner, a) = chain(IN, IN);
    assert_eq!(outer.wait(), []);
    post(&a, IN);
    assert_eq!(outer.wait(), [(IN, inner.fd.0)]);
    clear(&a, IN);
    assert_eq!(outer.wait(), []);
}

#[test]
fn a_wait_on_the_outer_instance_leaves_the_inner_events_alone() {
    // N2.
    let (outer, inner, a) = chain(IN | ET, IN);
    post(&a, IN);
    assert_eq!(outer.wait(), [(IN, inner.fd.0)]);
    assert_eq!(inner.wait(), [(IN, a.0)]);
    assert_eq!(outer.wait(), []);
}

#[test]
fn an_outer_edge_is_reported_once_for_each_wake_up_inside() {
    // N2, W4.
    let (outer, inner, a) = chain(IN, IN | ET);
    post(&a, IN);
    assert_eq!(outer.wait(), [(IN, inner.fd.0)]);
    assert_eq!(outer.wait(), []);
    post(&a, IN);
    assert_eq!(outer.wait(), [(IN, inner.fd.0)]);
}

#[test]
fn a_cycle_of_instances_is_refused() {
    // N3.
    let (outer, inner, _a) = chain(IN, IN);
    assert_eq!(inner.control(libc::EPOLL_CTL_ADD, &outer.fd, IN), Err(nix::errno::Errno::ELOOP));
    assert_eq!(inner.control(libc::EPOLL_CTL_ADD, &inner.fd, IN), Err(nix::errno::Errno::EINVAL));
}

#[test]
fn a_registration_on_an_instance_ends_with_it() {
    // D1.
    let (outer, inner, _a) = chain(IN, IN);
    drop(inner);
    assert_eq!(outer.lock().items.interest.len(), 0);
}
