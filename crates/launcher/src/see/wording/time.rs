//! Time that is lost: spins, blocked loops, wasted wake-ups.

use super::{Three, call_name, other, subject, time_at};
use crate::see::words::{counted, duration, epoll_bits, errno, grouped};
use epolyfill_audit::Finding;
use epolyfill_facts::NO_FD;

pub fn spin(finding: &Finding) -> Three {
    let [waits, call, number, is_rearmed, elapsed, _] = finding.numbers;
    let deed = match (call, is_rearmed) {
        (..=-1, 1) => "it was armed again each time, with the same mask".to_owned(),
        (..=-1, _) => "nothing was done with it".to_owned(),
        (_, _) if number == 0 => format!("{} returned 0, the end of the stream, each time", call_name(call)),
        _ => format!("{} failed with {} each time", call_name(call), errno(number)),
    };
    let fact = format!(
        "{} in {} reported {} of {}, and {deed}.",
        counted(waits.unsigned_abs(), "wait"),
        duration(elapsed.unsigned_abs()),
        epoll_bits(finding.bits),
        subject(finding),
    );
    let only = |bits: i32| finding.bits != 0 && finding.bits & !(bits as u32) == 0;
    let is_out_of_numbers = [libc::EMFILE, libc::ENFILE].map(i64::from).contains(&number);
    let remedy = match () {
        () if call >= 0 && is_out_of_numbers => {
            "Delete the listener from the instance until a descriptor is free again."
        }
        () if call >= 0 && number == 0 => "Close the descriptor at the end of the stream, or delete the registration.",
        () if call >= 0 => "Handle the error: close the descriptor, or delete the registration.",
        () if only(libc::EPOLLHUP | libc::EPOLLERR) => {
            "EPOLLHUP and EPOLLERR cannot be masked: delete the registration, or close."
        }
        () if only(libc::EPOLLOUT | libc::EPOLLWRNORM) => "Ask for EPOLLOUT only while there is something to write.",
        () => "Read what is there, close at the end, or do not ask for what is not wanted.",
    };
    (fact, "Each wait returns at once, and the loop takes a whole processor.".to_owned(), remedy)
}

pub fn failing_wait(finding: &Finding) -> Three {
    let error = errno(finding.numbers[0]);
    let fact = format!("{} in a row on instance {} failed with {error}.", counted(finding.count, "wait"), finding.epfd);
    let consequence = "The loop takes a whole processor, and no event comes.".to_owned();
    (fact, consequence, "Leave the loop on every error but EINTR.")
}

pub fn timeout_truncated(finding: &Finding) -> Three {
    let [waits, ..] = finding.numbers;
    let fact = format!(
        "{} with the time-out 0 ran ahead of {}: after a wait of {} the rest, {} on average, was cut off to 0.",
        counted(waits.unsigned_abs(), "wait"),
        counted(finding.count, "deadline"),
        time_at(finding, 1),
        time_at(finding, 2),
    );
    let consequence = "The loop spins through the last part of a millisecond before each deadline.".to_owned();
    (fact, consequence, "Round time-outs up to whole milliseconds, or use epoll_pwait2.")
}

pub fn blocked(finding: &Finding) -> Three {
    let fact = format!(
        "{} on {} took {} in a thread that waits on its instance; O_NONBLOCK is clear.",
        call_name(finding.numbers[1]),
        subject(finding),
        duration(finding.worst_ns),
    );
    let consequence = "All other descriptors of the loop wait meanwhile.".to_owned();
    (fact, consequence, "Set O_NONBLOCK on descriptors that are registered.")
}

fn away(finding: &Finding) -> String {
    let ready = match finding.numbers[1] {
        ..=0 => "was ready at the end of it".to_owned(),
        _ => format!("was ready for {} of it", time_at(finding, 1)),
    };
    match finding.other {
        NO_FD => String::new(),
        _ => format!("; {} {ready}", other(finding)),
    }
}

pub fn slow_handler(finding: &Finding) -> Three {
    let fact = format!(
        "thread {} was away from its loop for {} (CPU {}, in calls that are seen {}, asleep in others {}, waiting for a \
         processor {}) after an event of {}{}.",
        finding.tid,
        time_at(finding, 0),
        time_at(finding, 2),
        time_at(finding, 5),
        time_at(finding, 3),
        time_at(finding, 4),
        subject(finding),
        away(finding),
    );
    let consequence = "Everything else of this loop waits as long.".to_owned();
    (fact, consequence, "Do long work in another thread, or in parts.")
}

pub fn starved_by(finding: &Finding) -> Three {
    let fact = format!(
        "thread {} stayed with {} for {} ({} % of its calls){}.",
        finding.tid,
        subject(finding),
        time_at(finding, 0),
        finding.numbers[5],
        away(finding),
    );
    let consequence = "One busy descriptor keeps the others waiting.".to_owned();
    (fact, consequence, "Limit the bytes or calls per event, remember that there is more, and go on with the next.")
}

pub fn herd(finding: &Finding) -> Three {
    let [arrivals, in_vain, threads, ..] = finding.numbers.map(i64::unsigned_abs);
    let fact = format!(
        "{} at {} woke {}, {} in vain: the first call returned EAGAIN.",
        counted(arrivals, "arrival"),
        subject(finding),
        counted(threads, "thread"),
        counted(in_vain, "time"),
    );
    let consequence = "Each arrival wakes several waiters, and only one of them finds something.".to_owned();
    (fact, consequence, "Register it with EPOLLEXCLUSIVE, or give each worker a listener with SO_REUSEPORT.")
}

pub fn idle_control(finding: &Finding) -> Three {
    let [is_many, mods, idle, calls, events, _] = finding.numbers.map(i64::unsigned_abs);
    if is_many == 1 {
        let calls = counted(calls, "control call");
        let fact = format!("instance {} was given {calls} for {}.", finding.epfd, counted(events, "event"));
        let consequence = "Each is a system call, and most of them change a mask back and forth.".to_owned();
        return (fact, consequence, "Change a mask only if a write was refused, or use edge-triggered registrations.");
    }
    let fact = format!(
        "{} of {} on instance {} had changed nothing, the last of them for {}.",
        grouped(idle),
        counted(mods, "EPOLL_CTL_MOD"),
        finding.epfd,
        subject(finding),
    );
    (fact, "Each is a system call for nothing.".to_owned(), "Remember the mask, and call epoll_ctl only if it changes.")
}

pub fn exclusive_share(finding: &Finding) -> Three {
    let [percent, waiters, ..] = finding.numbers.map(i64::unsigned_abs);
    let fact = format!(
        "instance {} gets {percent} % of the exclusive events of {}, which {waiters} wait for.",
        finding.epfd,
        subject(finding),
    );
    let consequence = "Linux wakes the last waiter first; the others stay idle under load.".to_owned();
    (fact, consequence, "Give each worker a listener of its own, with SO_REUSEPORT.")
}

pub fn full_batch(finding: &Finding) -> Three {
    let [size, waits, full, registrations, ..] = finding.numbers.map(i64::unsigned_abs);
    let fact = format!(
        "{} of {} on instance {} filled their array of {size} at once.",
        grouped(full),
        counted(waits, "wait"),
        finding.epfd,
    );
    let consequence = format!(
        "More of its {registrations} descriptors are ready than a wait reports; the queue was not empty for {}.",
        duration(finding.worst_ns),
    );
    (fact, consequence, "Use a larger array.")
}

pub fn blocking_edge(finding: &Finding) -> Three {
    let fact = format!("{} is read while it is blocking.", subject(finding));
    let consequence =
        "An edge-triggered descriptor is read until EAGAIN, and a blocking one never returns that.".to_owned();
    (fact, consequence, "Set O_NONBLOCK.")
}
