# static.NAME: the C tests linked with -static, which epolyfill-loader loads, on the machines on
# which it does.

set(static_left_out
  # The instruction is in the test itself, in a form that glibc does not have: the program is refused.
  "clone_by_number_begins_on_its_own_stack"
  "close_that_is_not_seen_reaches_the_peer_with_a_later_wait"
  "control_takes_what_the_kernel_takes"
  "control_with_bad_arguments_answers_as_the_kernel"
  "et_connection_that_nobody_saw_is_an_edge"
  "et_drained_by_an_unseen_call_then_refilled_is_reported"
  "et_eventfd_that_the_kernel_adds_to_is_an_edge"
  "et_every_call_that_gives_is_an_edge"
  "et_own_send_is_an_out_edge_raw_and_packet"
  "et_reads_and_peeks_that_were_left_by_force_leave_nothing_behind"
  "et_strangers_report_each_arrival_once"
  "everything_closed_unseen_leaves_no_thread_spinning"
  "exec_at_the_limit_is_as_the_kernel_has_it"
  "fork_without_handlers_is_a_fork"
  "high_number_that_memory_is_refused_for_stays_closed"
  "instance_by_another_road_is_the_same_instance"
  "io_uring_is_refused_unless_asked_for"
  "nested_close_of_an_instance_raises_no_signal"
  "nested_scripts_run_as_on_the_kernel"
  "number_exchanged_unseen_has_no_registration"
  "number_that_accept_gives_again_has_no_registration"
  "raw_.*"
  "threads_have_epoll_after_everything_was_closed_unseen"
  "wait_with_bad_arguments_answers_as_the_kernel"
  # They are about a seccomp filter that a static program does not get.
  "trapped_.*"
  # They look for functions of a library, which a static program cannot.
  "calls_in_a_signal_handler_allocate_nothing"
  "executed_program_has_the_environment_that_was_passed"
  "watcher_that_starts_late_misses_nothing"
  # Differences of static programs (docs/differences.md): clone3 and a clone with CLONE_VM that the
  # parent does not wait for; execution of an open file; the memory of the loader and of libc, which
  # counts to what mlockall locks.
  "child_that_shares_the_descriptors_leaves_the_instance_alone"
  "clone_that_shares_memory_leaves_the_parent_alone"
  "program_executed_by_any_call_has_epoll"
  "all_memory_can_be_locked_under_a_small_limit")
string(JOIN "|" static_left_out ${static_left_out})

# Differences that static programs do not have: the calls that libc makes itself are seen, too.
set(not_of_static et_drained_through_a_stream_then_refilled_is_reported)

# What differs in a static program: how calls are made and interrupted, threads and their ends,
# children, and the signals of cancellation. -DEPOLYFILL_WAYS=static runs the others, too.
string(JOIN "|" static_chosen
  ".*cancel" ".*signal_handler" ".*coroutines" "fork" "vfork" "posix_spawn" "executor" "programs_" "program_" "instance_with"
  "close_by_any_road" "dup_keeps" "et_call_by" "et_no_arrival" "et_first_arrival" "pwait" "calls_that" "thread_" "threads_"
  "stress_" "threads_that" "registration_made_while_memory" "rings_that" "io_uring_" "system_and_" "daemon_"
  "et_every_call_that_takes" "et_fortified" "poll_of" "select_")
