# Registers the program tests. Included by tests/CMakeLists.txt, which defines EPOLYFILL_LAUNCHER
# and EPOLYFILL_WAYS.
#
#   ctest -L program          all of them
#   ctest -R program.redis    one of them
#   ctest -L program-chaos    those that run once more under --chaos
#   ctest -L program-uring    those that run a second time, with EPOLYFILL_POLLER=uring
#
# Each test has a number of processors that it keeps busy: 2 with a load generator or many threads,
# else 1. The two runs of a program share build results, and so take turns. Each test limits its own
# steps, so the timeout here only catches a test that is itself broken. Those that take longest start
# first: the number after the timeout is a test's duration in seconds, on two quiet processors.

set(program_way refused)
if(NOT "refused" IN_LIST EPOLYFILL_WAYS)
  set(program_way kernel)
endif()

foreach(program redis:400:35 nginx:400:60 python:900:115 tokio:600:15 idle:200:15 rust-suites:900:90 cpython:600:50 libuv:600:40
    libevent:600:45 frameworks:1600:250 node:150:15 java:1000:40 memcached:200:10 haproxy:200:15 postgresql:300:15 mosquitto:200:5
    lighttpd:200:5 apache:200:10 varnish:200:5 unbound:200:5 named:200:10 mariadb:300:15 dbus:200:5 xvfb:200:5 erlang:200:5 go:300:25 go-std:600:40 rustix:300:20
    chromium:300:10 grpc:400:15 dovecot:200:10 postfix:200:10 environment:200:15 http:200:15)
  string(REGEX MATCH "^([a-z-]+):([0-9]+):([0-9]+)$" program ${program})
  set(name ${CMAKE_MATCH_1})
  math(EXPR limit "${CMAKE_MATCH_2} * ${EPOLYFILL_PATIENCE}")
  set(properties TIMEOUT ${limit} COST ${CMAKE_MATCH_3} RESOURCE_LOCK ${name} SKIP_RETURN_CODE 77)
  if(name MATCHES "^(redis|nginx|rust-suites|java|haproxy|postgresql|lighttpd|apache|varnish|mariadb|http)$")
    list(APPEND properties PROCESSORS 2)
  endif()
  set(environment "EPOLYFILL=${EPOLYFILL_LAUNCHER};EPOLYFILL_TEST_WAY=${program_way}")
  list(APPEND environment "EPOLYFILL_TEST_KERNEL_EPOLL=${EPOLYFILL_KERNEL_EPOLL}" "EPOLYFILL_TEST_PATIENCE=${EPOLYFILL_PATIENCE}")
  if(name STREQUAL "rustix" AND EPOLYFILL_SEE_LIBRARY)
    list(APPEND environment "EPOLYFILL_TEST_SEE_LIBRARY=${EPOLYFILL_SEE_LIBRARY}")
  endif()
  add_test(NAME program.${name} COMMAND ${CMAKE_CURRENT_LIST_DIR}/${name}.sh)
  set_tests_properties(program.${name} PROPERTIES ${properties} LABELS program ENVIRONMENT "${environment}")
  # Those that take less than a minute run once more with a ring wherever possible.
  if(name MATCHES "^(redis|nginx|tokio|node|java|memcached|haproxy|postgresql|mosquitto|lighttpd|dovecot|postfix|libevent|libuv|apache|named|dbus|grpc)$" AND "uring" IN_LIST EPOLYFILL_WAYS)
    add_test(NAME program-uring.${name} COMMAND ${CMAKE_CURRENT_LIST_DIR}/${name}.sh)
    set_tests_properties(program-uring.${name} PROPERTIES
      ${properties} LABELS program-uring ENVIRONMENT "${environment};EPOLYFILL_POLLER=uring")
  endif()
  # Correct programs stay correct under chaos (-DEPOLYFILL_SEE_LIBRARY=FILE). Of the seeds, 6 draws
  # the most kinds.
  if(EPOLYFILL_SEE_LIBRARY AND name MATCHES "^(redis|memcached|haproxy|mosquitto|node|libevent|libuv)$")
    add_test(NAME program-chaos.${name} COMMAND ${CMAKE_CURRENT_LIST_DIR}/${name}.sh)
    set_tests_properties(program-chaos.${name} PROPERTIES
      ${properties} LABELS program-chaos
      ENVIRONMENT "EPOLYFILL=${EPOLYFILL_LAUNCHER};EPOLYFILL_TEST_WAY=chaos;EPOLYFILL_TEST_SEED=6;EPOLYFILL_LIBRARY=${EPOLYFILL_SEE_LIBRARY}")
  endif()
endforeach()

# The options that observe (-DEPOLYFILL_SEE_LIBRARY=FILE).
if(EPOLYFILL_SEE_LIBRARY)
  add_test(NAME program.observed COMMAND ${CMAKE_CURRENT_LIST_DIR}/observed.sh)
  math(EXPR limit "300 * ${EPOLYFILL_PATIENCE}")
  set_tests_properties(program.observed PROPERTIES TIMEOUT ${limit} COST 25 LABELS program RESOURCE_LOCK rustix
    ENVIRONMENT "EPOLYFILL=${EPOLYFILL_LAUNCHER};EPOLYFILL_LIBRARY=${EPOLYFILL_SEE_LIBRARY}")
endif()

# Two minutes of the benchmarks' mixed load on 5,000 connections, with each poller: no event late,
# no wrong answer, no growth. Its processor time is measured on a quiet machine (benches/soak --ci);
# here it only must not be out of all proportion. It loads both processors, and so runs alone.
if("refused" IN_LIST EPOLYFILL_WAYS)
  add_test(NAME program.soak COMMAND ${repo}/benches/soak --ci --bound 60 --cpu 60 --growth 8
    --library ${EPOLYFILL_LIBRARY} --programs ${CMAKE_CURRENT_BINARY_DIR}/benches)
  set_tests_properties(program.soak PROPERTIES TIMEOUT 600 RUN_SERIAL TRUE LABELS program)
endif()
