# The tests that show a listed difference from Linux (docs/differences.md), each with the output
# that shows it. On the kernel they must pass; in the other ways they must print exactly this. When
# a difference disappears, its test fails until its row is removed too.

set(differences
  "control_in_a_signal_handler_amid_control_works=failed_with is 12 "
  "create_without_a_free_number_is_emfile=epoll_create1.0. is -1 "
  "descriptor_held_by_a_child_keeps_the_item_alive=: 0 events, not 1 "
  "descriptor_received_in_a_message_keeps_the_item_alive=: 0 events, not 1 "
  "et_bytes_below_the_low_water_mark_are_no_edge=is 1 .0x1., not 0 "
  "et_completion_beside_an_unread_one_is_an_edge=is 0 .0., not 1 "
  "et_change_that_stays_unread_is_reported_once=: 1 events, not 0"
  "et_drained_by_an_unseen_call_then_refilled_is_reported=pipe: 0 events, not 1 "
  "et_drained_by_another_process_then_refilled_is_reported=pipe: 0 events, not 1 "
  "et_drained_through_a_stream_then_refilled_is_reported=: 0 events, not 1 "
  "et_empty_datagram_that_was_peeked_at_is_an_edge=is 0 .0., not 1 "
  "et_empty_packet_behind_others_is_an_edge=is 0 .0., not 1 "
  "et_file_that_is_sent_to_its_end_is_no_edge=is 1 .0x1., not 0 "
  "et_part_that_another_process_reads_is_no_edge=is 1 .0x1., not 0 "
  "et_partial_take_is_no_edge_netlink=1 events, not 0"
  "et_shutdown_by_another_process_is_an_edge=is 0 .0., not 1 "
  "et_slave_that_was_opened_and_closed_is_an_edge=: 0 events, not 1 "
  "et_splice_of_part_of_a_buffer_is_no_edge=: 1 events, not 0"
  "et_timer_set_by_another_process_fires_again=: 0 events, not 1 "
  "et_urgent_data_that_was_stepped_over_is_an_edge=is 0 .0., not 1 "
  "et_urgent_data_that_was_stepped_over_leaves_no_edge=: 1 events, not 0"
  "exclusive_processes_are_woken_one_at_a_time=wakes is [2-4] .0x[2-4]., not 1 "
  "exclusive_registrations_of_a_fifo_that_is_open_twice=is 2 .0x2., not 1 "
  "nested_wake_up_under_an_earlier_mask_is_not_forgotten=: 0 events, not 1 "
  "ready_items_come_in_the_order_they_became_ready=is 0 .0., not order")

# Differences of poll that a ring does not have, or not where it is used.
string(JOIN "|" poll_only
  et_completion_beside_an_unread_one_is_an_edge
  et_bytes_below_the_low_water_mark_are_no_edge
  et_change_that_stays_unread_is_reported_once
  et_drained_by_an_unseen_call_then_refilled_is_reported
  et_drained_by_another_process_then_refilled_is_reported
  et_drained_through_a_stream_then_refilled_is_reported
  et_empty_datagram_that_was_peeked_at_is_an_edge
  et_empty_packet_behind_others_is_an_edge
  et_file_that_is_sent_to_its_end_is_no_edge
  et_part_that_another_process_reads_is_no_edge
  et_partial_take_is_no_edge_netlink
  et_shutdown_by_another_process_is_an_edge
  et_slave_that_was_opened_and_closed_is_an_edge
  et_splice_of_part_of_a_buffer_is_no_edge
  et_timer_set_by_another_process_fires_again
  et_urgent_data_that_was_stepped_over_is_an_edge
  et_urgent_data_that_was_stepped_over_leaves_no_edge
  exclusive_processes_are_woken_one_at_a_time)
# Differences of poll that signals do not have.
string(JOIN "|" not_of_signals
  et_bytes_below_the_low_water_mark_are_no_edge
  et_completion_beside_an_unread_one_is_an_edge
  et_drained_by_an_unseen_call_then_refilled_is_reported
  et_drained_through_a_stream_then_refilled_is_reported
  et_empty_datagram_that_was_peeked_at_is_an_edge
  et_empty_packet_behind_others_is_an_edge
  et_urgent_data_that_was_stepped_over_is_an_edge
  et_urgent_data_that_was_stepped_over_leaves_no_edge)
set(differences_of_signal
  "et_drained_by_an_unseen_call_then_refilled_is_reported=eventfd: 0 events, not 1 ")
set(differences_of_uring
  "et_drained_by_an_unseen_call_then_refilled_is_reported=pipe: a thread does not end"
  "et_drained_by_another_process_then_refilled_is_reported=epoll: 0 events, not 1 ")
set(differences_of_many_requests
  "pipe_of_a_process_that_ends_is_closed_at_once_among_many=is -1 .0x[f]*., not 0 ")

# Tests that assert silence which cannot be guaranteed: the kernel counts queued real-time signals
# per user, for all its processes.
set(kernel_only et_partial_take_is_no_edge_signalfd et_unread_stays_silent_signalfd)

# Tests that pass addresses which only the kernel can check, or that observe how it checks them.
set(strict
  control_errors_come_in_order
  control_with_bad_arguments_answers_as_the_kernel
  et_eventfd_is_an_edge_after_the_first_thread_has_ended
  polls_with_bad_addresses_are_efault
  pwait2_checks_its_timespec
  wait_into_an_unwritable_buffer_loses_no_event
  wait_into_half_an_array_loses_no_event
  wait_with_bad_arguments_answers_as_the_kernel)
