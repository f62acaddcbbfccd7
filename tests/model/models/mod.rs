//! The models. Each is the threads of one run; the scheduler calls it again and again.

mod closes;
mod edges;
mod facts;
mod locks;
mod nested;
mod program;
mod rings;
mod signals;
mod sources;
mod waits;

/// Every model with its name.
pub const ALL: &[(&str, fn())] = &[
    ("lock_lets_one_in_and_wakes_the_next", locks::lock_lets_one_in_and_wakes_the_next),
    ("records_are_gone_through_while_a_fork_has_the_pool", locks::records_are_gone_through_while_a_fork_has_the_pool),
    ("pool_gives_each_record_to_one", locks::pool_gives_each_record_to_one),
    ("every_fact_is_told", facts::every_fact_is_told),
    ("number_made_known_by_two_is_one_description", facts::number_made_known_by_two_is_one_description),
    ("watched_end_is_found_from_the_other", facts::watched_end_is_found_from_the_other),
    ("watched_end_is_found_beside_one_that_moves_away", facts::watched_end_is_found_beside_one_that_moves_away),
    ("fact_that_comes_again_is_told_again", facts::fact_that_comes_again_is_told_again),
    ("adds_to_two_eventfds_are_both_heard", edges::adds_to_two_eventfds_are_both_heard),
    ("wake_up_is_never_lost", waits::wake_up_is_never_lost),
    ("each_add_to_an_unread_eventfd_is_an_edge", edges::each_add_to_an_unread_eventfd_is_an_edge),
    ("adds_of_two_threads_are_both_heard", edges::adds_of_two_threads_are_both_heard),
    ("add_is_heard_while_a_handler_adds_amid_control", edges::add_is_heard_while_a_handler_adds_amid_control),
    ("handler_that_closes_amid_control_leaves_nothing", closes::handler_that_closes_amid_control_leaves_nothing),
    ("two_edges_wake_two_waiters", waits::two_edges_wake_two_waiters),
    ("one_edge_is_one_report", waits::one_edge_is_one_report),
    ("what_is_taken_at_once_is_one_report", edges::what_is_taken_at_once_is_one_report),
    ("packet_that_is_taken_at_once_is_one_report", edges::packet_that_is_taken_at_once_is_one_report),
    ("control_wakes_a_waiter", waits::control_wakes_a_waiter),
    ("nothing_is_reported_after_a_deletion", waits::nothing_is_reported_after_a_deletion),
    ("close_finds_nobody_in_poll", closes::close_finds_nobody_in_poll),
    ("closes_and_new_registrations_meet", closes::closes_and_new_registrations_meet),
    ("exclusive_instances_take_every_token", waits::exclusive_instances_take_every_token),
    ("hook_and_close_meet", closes::hook_and_close_meet),
    ("close_of_the_instance_leaves_its_waiter_alone", closes::close_of_the_instance_leaves_its_waiter_alone),
    ("add_is_heard_while_another_thread_is_held_up", edges::add_is_heard_while_another_thread_is_held_up),
    ("sleeper_does_not_report_what_was_deleted", waits::sleeper_does_not_report_what_was_deleted),
    ("newest_waiter_is_woken_first", waits::newest_waiter_is_woken_first),
    ("claim_is_of_one_and_passes_on", waits::claim_is_of_one_and_passes_on),
    ("number_that_a_handler_closed_is_free", closes::number_that_a_handler_closed_is_free),
    ("late_word_of_a_closed_number_harms_nobody", closes::late_word_of_a_closed_number_harms_nobody),
    ("posts_of_two_threads_are_both_heard", sources::posts_of_two_threads_are_both_heard),
    ("post_is_one_report", sources::post_is_one_report),
    ("post_is_heard_while_a_handler_posts_amid_control", sources::post_is_heard_while_a_handler_posts_amid_control),
    ("queue_beside_a_source_is_emptied", sources::queue_beside_a_source_is_emptied),
    ("descriptor_shows_what_is_posted", sources::descriptor_shows_what_is_posted),
    ("post_and_close_meet", sources::post_and_close_meet),
    ("level_outside_outlives_a_control_call", nested::level_outside_outlives_a_control_call),
    ("edge_outside_outlives_a_control_call", nested::edge_outside_outlives_a_control_call),
    ("level_outside_outlives_a_look", nested::level_outside_outlives_a_look),
    ("edge_beside_a_wait_inside_is_reported_or_shown", nested::edge_beside_a_wait_inside_is_reported_or_shown),
    ("edges_inside_are_edges_outside", nested::edges_inside_are_edges_outside),
];

/// The models that also run with a ring wherever one is possible. If the kernel has no rings, they
/// run by poll once more.
pub const IN_RINGS: &[(&str, fn())] = &[
    ("ring_adds_to_two_eventfds_are_both_heard", edges::adds_to_two_eventfds_are_both_heard),
    ("ring_each_add_to_an_unread_eventfd_is_an_edge", edges::each_add_to_an_unread_eventfd_is_an_edge),
    ("ring_adds_of_two_threads_are_both_heard", edges::adds_of_two_threads_are_both_heard),
    ("ring_add_is_heard_while_a_handler_adds_amid_control", edges::add_is_heard_while_a_handler_adds_amid_control),
    ("ring_handler_that_closes_amid_control_leaves_nothing", closes::handler_that_closes_amid_control_leaves_nothing),
    ("ring_two_edges_wake_two_waiters", waits::two_edges_wake_two_waiters),
    ("ring_one_edge_is_one_report", waits::one_edge_is_one_report),
    ("ring_control_wakes_a_waiter", waits::control_wakes_a_waiter),
    ("ring_nothing_is_reported_after_a_deletion", waits::nothing_is_reported_after_a_deletion),
    ("ring_closes_and_new_registrations_meet", closes::closes_and_new_registrations_meet),
    ("ring_hook_and_close_meet", closes::hook_and_close_meet),
    ("ring_close_of_the_instance_leaves_its_waiter_alone", closes::close_of_the_instance_leaves_its_waiter_alone),
    ("ring_add_is_heard_while_another_thread_is_held_up", edges::add_is_heard_while_another_thread_is_held_up),
    ("ring_sleeper_does_not_report_what_was_deleted", waits::sleeper_does_not_report_what_was_deleted),
    ("ring_newest_waiter_is_woken_first", waits::newest_waiter_is_woken_first),
    ("ring_number_that_a_handler_closed_is_free", closes::number_that_a_handler_closed_is_free),
    ("ring_late_word_of_a_closed_number_harms_nobody", closes::late_word_of_a_closed_number_harms_nobody),
    ("ring_close_finds_no_request_in_the_ring", rings::close_finds_no_request_in_the_ring),
    ("ring_edges_outlive_the_thread_of_the_ring", rings::edges_outlive_the_thread_of_the_ring),
    ("ring_edges_are_heard_amid_a_fork", rings::edges_are_heard_amid_a_fork),
    ("ring_registrations_come_and_go_under_a_sleeper", rings::registrations_come_and_go_under_a_sleeper),
];

/// The models of descriptions that send signals.
pub const BY_SIGNALS: &[(&str, fn())] = &[
    ("signal_of_an_arrival_amid_arming_is_heard", signals::arrival_amid_arming_is_heard),
    ("signal_of_each_arrival_at_an_unread_pipe_is_an_edge", signals::each_arrival_at_an_unread_pipe_is_an_edge),
    ("signals_of_two_instances_are_both_heard", signals::arrivals_at_two_instances_are_both_heard),
    ("signals_wake_two_waiters", signals::two_arrivals_wake_two_waiters),
    ("signal_amid_a_deletion_is_not_reported", signals::arrival_amid_a_deletion_is_not_reported),
    ("signal_of_a_closed_number_is_not_of_the_next", signals::number_that_is_reused_has_no_earlier_signals),
    ("signal_of_a_reused_number_harms_nobody", signals::arrival_at_a_reused_number_is_heard),
    (
        "signal_amid_the_close_of_one_of_two_numbers_is_heard",
        signals::arrival_amid_the_close_of_one_of_two_numbers_is_heard,
    ),
    ("signals_that_the_queue_has_no_room_for_are_heard", signals::arrivals_without_room_for_signals_are_heard),
    ("signal_amid_a_return_to_poll_is_heard", signals::arrival_amid_a_return_to_poll_is_heard),
    ("signals_that_are_too_many_are_heard", signals::arrivals_that_are_too_many_are_heard),
    ("signal_amid_the_end_of_a_rest_is_heard", signals::arrival_amid_the_end_of_a_rest_is_heard),
    ("signal_end_of_a_rest_amid_a_late_signal_is_whole", signals::end_of_a_rest_amid_a_late_signal_is_whole),
    ("signal_amid_a_fork_is_heard", signals::arrival_amid_a_fork_is_heard),
    ("signal_amid_a_return_of_room_is_heard", signals::arrival_amid_a_return_of_room_is_heard),
    ("signals_of_a_busy_description_are_heard", signals::arrivals_at_a_busy_description_are_heard),
];

/// The models of the choice between poll and signals.
pub const BY_CHOICE: &[(&str, fn())] = &[
    ("choice_of_signals_after_the_first_reports_loses_nothing", signals::arrival_amid_the_end_of_a_trial_is_heard),
    ("choice_of_signals_after_silence_loses_nothing", signals::arrival_amid_the_end_of_silence_is_heard),
];
