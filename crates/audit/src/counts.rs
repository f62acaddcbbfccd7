//! Counts of calls and of what happened to each instance, for the launcher's `-c`.

use alloc::vec::Vec;

use epolyfill_facts::{Class, Fact, Form, NO_FD, Reason, errno};

use crate::mirror::{FileId, Mirror};

/// The counts of one system call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfCall {
    /// How often it was called.
    pub calls: u64,
    /// How often it failed.
    pub errors: u64,
    /// The time in it, in nanoseconds.
    pub ns: u64,
}

/// The system calls that are counted, in the order of [`Counts::calls`].
pub const CALLS: [&str; 6] =
    ["epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2"];

/// The reasons by which events are counted, in the order of [`OfInstance::reasons`].
pub const REASONS: [Reason; 7] =
    [Reason::Unknown, Reason::Level, Reason::Control, Reason::Low, Reason::Call, Reason::Count, Reason::Ring];

/// The counts of one instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfInstance {
    /// Its first number.
    pub epfd: i32,
    /// Registrations at present.
    pub registrations: u64,
    /// The most registrations that there were at a time.
    pub most_registrations: u64,
    /// EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL that succeeded.
    pub controls: [u64; 3],
    /// Waits that returned.
    pub waits: u64,
    /// Waits that returned no event.
    pub empty: u64,
    /// Waits that slept: they took at least [`SLEEP_NS`].
    pub sleeps: u64,
    /// The time in those, in nanoseconds.
    pub sleep_ns: u64,
    /// Reported events.
    pub events: u64,
    /// The most events of a wait.
    pub most_events: u64,
    /// Waits that filled their array.
    pub full: u64,
    /// Events by their reason.
    pub reasons: [u64; 7],
    /// Events after which the first read or accept returned EAGAIN.
    pub spurious: u64,
}

/// A wait that takes this long has slept, in nanoseconds.
pub const SLEEP_NS: u64 = 50_000;

/// The most instances that are counted.
pub const MOST_INSTANCES: usize = 64;

/// The counts of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The counts by system call.
    pub calls: [OfCall; CALLS.len()],
    /// The counts by instance, in the order of their first use.
    pub instances: Vec<OfInstance>,
    ids: Vec<FileId>,
}

const CTL: usize = 2;

fn of_form(form: Form) -> usize {
    match form {
        Form::EpollCreate => 0,
        Form::EpollCreate1 => 1,
        Form::EpollWait => 3,
        Form::EpollPwait => 4,
        Form::EpollPwait2 => 5,
    }
}

impl Counts {
    fn call(&mut self, index: usize, failed: bool, ns: u64) {
        let call = &mut self.calls[index];
        call.calls += 1;
        call.errors += u64::from(failed);
        call.ns += ns;
    }

    fn instance(&mut self, mirror: &Mirror, epfd: i32) -> Option<&mut OfInstance> {
        let id = mirror.instance_of(epfd)?;
        if let Some(at) = self.ids.iter().rposition(|known| *known == id)
            && mirror.file(id).is_some_and(|file| file.numbers.contains(&self.instances[at].epfd))
        {
            return self.instances.get_mut(at);
        }
        if self.ids.len() == MOST_INSTANCES
            || self.ids.try_reserve(1).is_err()
            || self.instances.try_reserve(1).is_err()
        {
            return None;
        }
        self.ids.push(id);
        self.instances.push(OfInstance { epfd, ..OfInstance::default() });
        self.instances.last_mut()
    }

    /// Counts a fact, before the auditor takes it.
    pub fn before(&mut self, tid: i32, fact: &Fact<'_>, mirror: &Mirror) {
        let Fact::Call { call, fd, answer, .. } = *fact else { return };
        if errno::of(answer) != errno::EAGAIN || !matches!(call.class(), Class::Read | Class::Accept) {
            return;
        }
        let Some(thread) = mirror.thread(tid) else { return };
        let is_first = |batched: &&crate::Batched| batched.event.fd == fd && !batched.is_handled;
        if thread.batch.iter().any(|batched| is_first(&batched))
            && let Some(instance) = self.instance(mirror, thread.epfd)
        {
            instance.spurious += 1;
        }
    }

    /// Counts a fact, after the auditor has taken it.
    pub fn after(&mut self, now_ns: u64, tid: i32, fact: &Fact<'_>, mirror: &Mirror) {
        match *fact {
            Fact::Create { form, fd, began_ns, .. } => {
                self.call(of_form(form), fd < 0, now_ns.saturating_sub(began_ns));
                if fd > NO_FD {
                    self.instance(mirror, fd);
                }
            }
            Fact::Control { epfd, op, errno, began_ns, .. } => {
                self.call(CTL, errno != 0, now_ns.saturating_sub(began_ns));
                let registrations = registrations(mirror, epfd);
                let Some(instance) = self.instance(mirror, epfd) else { return };
                instance.registrations = registrations;
                instance.most_registrations = instance.most_registrations.max(registrations);
                // ADD is 1, DEL 2, MOD 3.
                if let Some(at) = [0, 2, 1].get((op - 1) as usize).filter(|_| errno == 0) {
                    instance.controls[*at] += 1;
                }
            }
            Fact::Report { form, epfd, max, began_ns, errno, events, .. } => {
                let ns = now_ns.saturating_sub(began_ns);
                self.call(of_form(form), errno != 0, ns);
                let registrations = registrations(mirror, epfd);
                let Some(instance) = self.instance(mirror, epfd) else { return };
                instance.registrations = registrations;
                instance.waits += 1;
                instance.empty += u64::from(events.is_empty());
                instance.events += events.len() as u64;
                instance.most_events = instance.most_events.max(events.len() as u64);
                instance.full += u64::from(!events.is_empty() && events.len() as i32 == max);
                if ns >= SLEEP_NS {
                    instance.sleeps += 1;
                    instance.sleep_ns += ns;
                }
                for batched in mirror.thread(tid).map_or(&[][..], |thread| &thread.batch) {
                    instance.reasons[batched.event.reason as usize] += 1;
                }
            }
            _ => {}
        }
    }

    /// The counts as words, for the record of the process: their number first.
    pub fn encode(&self, mut put: impl FnMut(u64)) {
        put(self.instances.len() as u64);
        for call in &self.calls {
            [call.calls, call.errors, call.ns].into_iter().for_each(&mut put);
        }
        for instance in &self.instances {
            put(u64::from(instance.epfd.cast_unsigned()));
            [instance.registrations, instance.most_registrations].into_iter().for_each(&mut put);
            instance.controls.into_iter().for_each(&mut put);
            [instance.waits, instance.empty, instance.sleeps, instance.sleep_ns].into_iter().for_each(&mut put);
            [instance.events, instance.most_events, instance.full].into_iter().for_each(&mut put);
            instance.reasons.into_iter().for_each(&mut put);
            put(instance.spurious);
        }
    }

    /// The counts of these words; `None` if there are too few of them.
    pub fn decode(words: &[u64]) -> Option<Counts> {
        let mut words = words.iter().copied();
        let n = usize::try_from(words.next()?).ok().filter(|n| *n <= MOST_INSTANCES)?;
        let mut counts = Counts::default();
        for call in &mut counts.calls {
            *call = OfCall { calls: words.next()?, errors: words.next()?, ns: words.next()? };
        }
        for _ in 0..n {
            let mut next = || words.next();
            counts.instances.push(OfInstance {
                epfd: next()? as i32,
                registrations: next()?,
                most_registrations: next()?,
                controls: [next()?, next()?, next()?],
                waits: next()?,
                empty: next()?,
                sleeps: next()?,
                sleep_ns: next()?,
                events: next()?,
                most_events: next()?,
                full: next()?,
                reasons: [next()?, next()?, next()?, next()?, next()?, next()?, next()?],
                spurious: next()?,
            });
        }
        Some(counts)
    }
}

fn registrations(mirror: &Mirror, epfd: i32) -> u64 {
    let instance = mirror.instance_of(epfd).and_then(|id| mirror.instance(id));
    instance.map_or(0, |instance| instance.registrations.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use epolyfill_facts::Call;

    use crate::rules::testing::Story;
    use epolyfill_facts::mask::IN;

    #[test]
    fn decoded_counts_are_the_encoded_ones_and_count_what_happened() {
        let mut story = Story::new();
        let mut counts = Counts::default();
        let mut take = |story: &mut Story, fact: Fact<'_>| {
            counts.before(1, &fact, story.auditor.mirror());
            story.fact(fact);
            counts.after(story.ns, 1, &fact, story.auditor.mirror());
        };
        let began_ns = story.ns;
        take(&mut story, Fact::Create { form: Form::EpollCreate1, fd: 3, flags: 0, began_ns });
        let site = epolyfill_facts::SiteId(0);
        take(&mut story, Fact::Control { epfd: 3, op: 1, fd: 5, events: IN, data: 5, errno: 0, site, began_ns });
        let event = epolyfill_facts::Event { bits: IN, fd: NO_FD, data: 5, reason: Reason::Unknown };
        let (form, mask) = (Form::EpollWait, None);
        take(
            &mut story,
            Fact::Report { form, mask, epfd: 3, max: 1, timeout_ns: -1, began_ns, errno: 0, events: &[event] },
        );
        let call = Call::Read;
        take(&mut story, Fact::Call { call, fd: 5, other: NO_FD, asked: 9, answer: -11, flags: 0, began_ns });
        let instance = counts.instances[0];
        assert_eq!((instance.epfd, instance.registrations, instance.events, instance.full), (3, 1, 1, 1));
        assert_eq!((instance.spurious, instance.reasons.iter().sum::<u64>()), (1, 1));
        let mut words = Vec::new();
        counts.encode(|word| words.push(word));
        let decoded = Counts::decode(&words).unwrap();
        assert_eq!((decoded.calls, &decoded.instances), (counts.calls, &counts.instances));
        assert_eq!(Counts::decode(&words[..words.len() - 1]), None);
    }
}
