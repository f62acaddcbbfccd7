//! Threads that post on sources, and threads that wait, clear and close meanwhile.

use std::sync::Arc;

use super::edges::is_heard_amid_control;
use super::program::*;
use crate::api::source;
use crate::scheduler::spawn;
use crate::sys;

const WORKS: &str = "it is a source";

fn watched_source(events: u32) -> (i32, i32) {
    let (ep, fd) = (create(), source::create(0).expect("a source"));
    add(ep, fd, events, 1);
    (ep, fd)
}

fn post(fd: i32) {
    source::post(fd, IN).expect(WORKS);
}

fn clear(fd: i32) {
    source::clear(fd, IN).expect(WORKS);
}

/// Two threads post a level that is posted already: both posts wake the waiter.
pub fn posts_of_two_threads_are_both_heard() {
    let (ep, fd) = watched_source(IN | ET);
    post(fd);
    wait_for_one(ep);
    let told = Arc::new(Count::default());
    let posters = [(); 2].map(|()| {
        let told = Arc::clone(&told);
        spawn(move || {
            told.add();
            post(fd);
        })
    });
    hear(ep, &told, 2);
    join_all(posters);
    end([fd, ep]);
}

/// A post is reported once, whatever the waiter is doing, even if the waiter sees the level before
/// the fact is delivered.
pub fn post_is_one_report() {
    let (ep, fd) = watched_source(IN | OUT | ET);
    source::post(fd, OUT).expect(WORKS);
    let poster = spawn(move || post(fd));
    let mut reports = ready(ep).len();
    poster.join();
    reports += ready(ep).len();
    assert!((1..=2).contains(&reports), "{reports} reports of two posts");
    assert!(ready(ep).is_empty());
    end([fd, ep]);
}

/// A signal handler posts while its thread controls the instance.
pub fn post_is_heard_while_a_handler_posts_amid_control() {
    let (ep, fd) = watched_source(IN | ET);
    is_heard_amid_control(ep, fd, post);
}

/// A queue of two items beside a source: the waiter clears the source and takes the items, and none
/// stays in the queue.
pub fn queue_beside_a_source_is_emptied() {
    for events in [IN, IN | ET] {
        let (ep, fd) = watched_source(events);
        let put = Arc::new(Count::default());
        let poster = {
            let put = Arc::clone(&put);
            spawn(move || {
                for _ in 0..2 {
                    put.add();
                    post(fd);
                }
            })
        };
        let mut taken = 0;
        while taken < 2 {
            wait_for_one(ep);
            clear(fd);
            taken = put.get();
        }
        poster.join();
        end([fd, ep]);
    }
}

/// Two threads post and clear at once: in the end the descriptor shows the posted level.
pub fn descriptor_shows_what_is_posted() {
    let (ep, fd) = watched_source(IN);
    let poster = spawn(move || post(fd));
    let clearer = spawn(move || clear(fd));
    join_all([poster, clearer]);
    let shown = u32::from(sys::level(fd, IN as u16)) & IN;
    assert_eq!(shown, source::posted(fd).expect(WORKS) & IN);
    end([fd, ep]);
}

/// A source is closed during a post: nothing of it is left, and nothing is reported.
pub fn post_and_close_meet() {
    let (ep, fd) = watched_source(IN | ET);
    let poster = spawn(move || {
        let _ = source::post(fd, IN);
    });
    close(fd);
    poster.join();
    assert!(ready(ep).is_empty());
    end([ep]);
}
