//! The counters of an instance: one table for the library, which counts them, and the launcher,
//! which reads them in another process.

/// Expands `$macro! { field "name", … }` with every counter: its field in `epolyfill_stats`, and its
/// name in the table that people see. In the order of the structure.
#[macro_export]
macro_rules! with_counters {
    ($macro:ident) => {
        $macro! {
            controls "controls",
            controls_refused "controls refused",
            closed "registrations ended by a close",
            vanished "vanished",
            waits "waits",
            timeouts "time-outs",
            interrupted "interrupted",
            events "events",
            edges_level "edges by level",
            edges_count "edges by count",
            edges_call "edges by call",
            edges_doubted "edges in doubt",
            edges_ring "edges by ring",
            enqueues "enqueues",
            duplicates "duplicates suppressed",
            stale "stale dropped",
            polls "polls",
            scanned "descriptors scanned",
            sleeps "sleeps",
            empty_wakeups "empty wake-ups",
            kicks "kicks",
            handoffs "hand-offs",
            samples "samples",
            parks "parks",
            unparks "unparks",
            rings "rings",
            rings_left "rings given up",
            completions "completions",
            registrations "registrations now",
            ready "ready now",
            waiters "waiters now",
            parked "parked now",
        }
    };
}

macro_rules! names {
    ($($field:ident $name:literal,)*) => {
        /// The names, in the order of the structure.
        pub const NAMES: [&str; [$($name),*].len()] = [$($name),*];

        /// The place of a counter in the order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, non_camel_case_types)] // The fields of `epolyfill_stats` have the documentation.
        pub enum Counter {
            $($field,)*
        }
    };
}

with_counters!(names);
