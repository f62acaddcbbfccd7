# static.NAME and musl.NAME: the C tests linked with -static, with glibc and with musl, which
# epolyfill-loader loads, on the machines on which it does.

set(static_left_out
  # They are in the form of Go's programs.
  "raw_.*"
  # It expects a call of its own not to reach the library, which has no memory for it.
  "high_number_that_memory_is_refused_for_stays_closed"
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
  "clone_by_number_begins_on_its_own_stack"
  "fork_without_handlers_is_a_fork"
  "clone_that_shares_memory_leaves_the_parent_alone"
  "program_executed_by_any_call_has_epoll"
  "all_memory_can_be_locked_under_a_small_limit")
string(JOIN "|" static_left_out ${static_left_out})

# Differences that static programs do not have: the calls that libc makes itself are seen, too, and
# those by instructions of the program.
string(JOIN "|" not_of_static
  "et_drained_through_a_stream_then_refilled_is_reported"
  "et_drained_by_an_unseen_call_then_refilled_is_reported")

# What differs in a static program: how calls are made and interrupted, threads and their ends,
# children, and the signals of cancellation. -DEPOLYFILL_WAYS=static runs the others, too.
string(JOIN "|" static_chosen
  ".*cancel" ".*signal_handler" ".*coroutines" "fork" "vfork" "posix_spawn" "executor" "programs_" "program_" "instance_with"
  "close_by_any_road" "dup_keeps" "et_call_by" "et_no_arrival" "et_first_arrival" "pwait" "calls_that" "thread_" "threads_"
  "stress_" "threads_that" "registration_made_while_memory" "rings_that" "io_uring_" "system_and_" "daemon_"
  "et_every_call_that_takes" "et_fortified" "poll_of" "select_")

# Left out with musl alone, beside those above.
string(JOIN "|" musl_left_out
  # musl and its headers lack a function or a name: getcontext, __read_chk, sigtimedwait's numbers
  # from 32 on, posix_spawn_file_actions_addclosefrom_np, SYS_memfd_secret, _SC_SIGSTKSZ.
  "control_takes_what_the_kernel_takes"
  "coroutines_that_a_signal_switches_wait_each_for_itself"
  "et_every_call_that_gives_is_an_edge"
  "et_every_call_that_takes_is_a_drain"
  "et_fortified.*"
  "et_room_after_a_refusal_of_any_call_is_an_edge"
  "instance_answers_calls_that_are_not_epolls_as_the_kernel"
  "posix_spawn_leaves_the_registrations_alone"
  "program_executed_by_any_call_has_epoll"
  "signals_of_every_number_are_as_the_program_set_them"
  "wait_in_a_signal_handler_is_a_wait_on_any_stack"
  # They fail on the kernel's epoll, too: epoll_wait is no cancellation point of musl's and syscall()
  # is one; epoll_create takes 0; a wrong flag of dup3, a bad descriptor of fexecve and a bad address
  # of sendmsg have other ends.
  "blocked_wait_can_be_cancelled"
  "call_by_number_is_no_cancellation_point"
  "create_of_no_size_is_einval"
  "exec_that_fails_changes_nothing"
  "failed_close_or_dup_keeps_the_item"
  "pending_cancellation_acts_when_a_wait_begins"
  "transfers_with_bad_addresses_are_efault")

# What depends on musl: threads and their ends, signals, cancellation, children.
string(JOIN "|" musl_chosen
  ".*cancel" "threads_that" "thread_with" "stress_signal" "stress_threads" "signal_" "fork_" "vfork_" "daemon_" "system_and_" "close_by_any_road"
  "executor" "pwait_" "io_uring_" "poll_of" "et_call_by" "dup_keeps")

set(musl_specs /usr/lib/x86_64-linux-musl/musl-gcc.specs)

# Builds a target as musl-gcc does. The tests include the kernel's headers, which stand beside
# glibc's.
function(with_musl target)
  target_compile_options(${target} PRIVATE
    -specs=${musl_specs} -isystem ${CMAKE_CURRENT_BINARY_DIR}/musl -include ${CMAKE_CURRENT_SOURCE_DIR}/cross/musl.h)
  if(NOT target STREQUAL "musl_harness")
    target_link_options(${target} PRIVATE -specs=${musl_specs} -static)
  endif()
endfunction()

# What all musl.NAME need.
function(set_up_musl)
  if(NOT EXISTS ${musl_specs})
    message(FATAL_ERROR "${musl_specs} is missing: install musl-tools, or leave musl out of EPOLYFILL_WAYS")
  endif()
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/musl)
  foreach(directory linux asm-generic x86_64-linux-gnu/asm)
    get_filename_component(name ${directory} NAME)
    file(CREATE_LINK /usr/include/${directory} ${CMAKE_CURRENT_BINARY_DIR}/musl/${name} SYMBOLIC)
  endforeach()
  add_library(musl_harness OBJECT EXCLUDE_FROM_ALL c/harness.c c/kinds.c)
  target_compile_definitions(musl_harness PRIVATE LINKED_STATICALLY)
  with_musl(musl_harness)
endfunction()
