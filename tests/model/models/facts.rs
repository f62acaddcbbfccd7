//! Facts that hooks report, without a waiting thread.

use std::sync::Arc;

use super::program::*;
use crate::edge::Facts;
use crate::graph::epitem::Epitem;
use crate::graph::eventpoll::{self, Eventpoll};
use crate::graph::file::File;
use crate::graph::lookup;
use crate::instance::open;
use crate::scheduler::{spawn, spawn_interrupted, step};
use crate::{lock, sys};

/// An instance with an edge-triggered eventfd in it: their numbers, and the library's records.
fn registered() -> ([i32; 2], &'static File, &'static Eventpoll, &'static Epitem) {
    let (ep, bell) = (create(), eventfd());
    add(ep, bell, IN | ET, 1);
    let file = lookup::known(bell).expect("it is registered");
    let instance = *open::find(ep).expect("it is an instance");
    let item = file.graph().items().next().expect("it has an item");
    item.take_facts();
    ([bell, ep], file, instance, item)
}

/// Three hooks report facts, one of them in a signal handler that interrupts another, while a
/// fourth thread takes the graph's lock now and then. In the end the registration has all facts,
/// and none is left to deliver.
pub fn every_fact_is_told() {
    let (numbers, file, _, item) = registered();
    let holder = spawn(move || {
        for _ in 0..2 {
            let _graph = file.graph();
            step();
        }
    });
    let first = spawn_interrupted(
        move || file.tell(Facts::READ_EAGAIN, file.begin_call()),
        move || file.tell(Facts::WROTE, file.begin_call()),
    );
    let second = spawn(move || file.tell(Facts::NO_SPACE, file.begin_call()));
    [holder, first, second].into_iter().for_each(|thread| thread.join());
    assert!(file.has_told_all());
    assert_eq!(item.take_facts(), Facts::READ_EAGAIN | Facts::WROTE | Facts::NO_SPACE);
    assert!(!lock::interrupted());
    numbers.into_iter().for_each(close);
    nothing_is_left();
}

/// Two threads register an unknown number, each in an instance of its own: the number names one
/// description, with both registrations.
pub fn number_made_known_by_two_is_one_description() {
    let bell = eventfd();
    let instances = [create(), create()];
    let adders = instances.map(|ep| spawn(move || add(ep, bell, IN | ET, 1)));
    adders.into_iter().for_each(|thread| thread.join());
    instances.into_iter().for_each(|ep| delete(ep, bell));
    [bell].into_iter().chain(instances).for_each(close);
    nothing_is_left();
}

/// The watched end of a pipe is found from the other end, whatever is added and removed beside it
/// in the index.
pub fn watched_end_is_found_from_the_other() {
    let [from, to] = pipe();
    let ep = create();
    add(ep, from, IN | ET, 1);
    add(ep, to, ET, 2);
    let inode = sys::fstat(from).expect("it is open").st_ino;
    let [file, other] = [from, to].map(|fd| lookup::known(fd).expect("it is registered"));
    let others = [(); 2].map(|()| {
        spawn(move || {
            other.count_edges(true);
            other.count_edges(false);
        })
    });
    other.count_edges(false);
    for _ in 0..2 {
        assert!(File::of_inode(inode).any(|found| std::ptr::eq(found, file)));
        step();
    }
    others.into_iter().for_each(|thread| thread.join());
    assert_eq!(File::of_inode(inode).count(), 1);
    other.count_edges(true);
    assert_eq!(File::of_inode(inode).count(), 2);
    [from, to, ep].into_iter().for_each(close);
    assert_eq!(File::of_inode(inode).count(), 0);
    nothing_is_left();
}

/// The watched end of a pipe is found from the other end, even by a thread that walks past a record
/// that moves from this chain to another one.
pub fn watched_end_is_found_beside_one_that_moves_away() {
    let [[from, to], [elsewhere, far]] = [pipe(), pipe()];
    let ep = create();
    add(ep, from, IN | ET, 1);
    add(ep, to, ET, 2);
    let inode = sys::fstat(from).expect("it is open").st_ino;
    let file = lookup::known(from).expect("it is registered");
    let mover = spawn(move || {
        close(to);
        add(ep, elsewhere, IN | ET, 3);
    });
    for _ in 0..2 {
        assert!(File::of_inode(inode).any(|found| std::ptr::eq(found, file)));
        step();
    }
    mover.join();
    [from, elsewhere, far, ep].into_iter().for_each(close);
    nothing_is_left();
}

/// A fact that occurs while the same fact is delivered is delivered again, because a thread may
/// have looked at the registration in between.
pub fn fact_that_comes_again_is_told_again() {
    let (numbers, file, _, item) = registered();
    let (begun, looked_before) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let looker = {
        let (begun, looked_before) = (Arc::clone(&begun), Arc::clone(&looked_before));
        spawn(move || {
            item.take_facts();
            looked_before.set(1 - begun.get());
        })
    };
    let teller = spawn(move || file.tell(Facts::WROTE, file.begin_call()));
    begun.set(1);
    file.tell(Facts::WROTE, file.begin_call());
    [looker, teller].into_iter().for_each(|thread| thread.join());
    assert!(file.has_told_all());
    assert!(looked_before.get() == 0 || item.take_facts() == Facts::WROTE);
    numbers.into_iter().for_each(close);
    nothing_is_left();
}
