# Registers the program tests. Included by tests/CMakeLists.txt, which defines EPOLYFILL_LAUNCHER
# and EPOLYFILL_WAYS.
#
#   ctest -L program          all of them
#   ctest -R program.redis    one of them
#   ctest -L program-uring    those that run a second time, with EPOLYFILL_POLLER=uring
#
# Tests that measure, or load both processors, run alone. The others spend their time asleep or in
# one thread, and take one of the two processors that ctest assigns; the two runs of a program share
# build results, and so take turns. Each test limits its own steps, so the timeout here only catches
# a test that is itself broken. It is well above the test's duration: in seconds, on two processors,
# frameworks 250, python 115, rust-suites 90 (30 once built), nginx 60, cpython 50, libevent 45,
# libuv 40, java 40, redis 35, and the others between 2 and 15.

set(program_way refused)
if(NOT "refused" IN_LIST EPOLYFILL_WAYS)
  set(program_way kernel)
endif()

foreach(program redis:400 nginx:400 python:900 tokio:600 idle:200
    rust-suites:900 cpython:600 libuv:600 libevent:600 frameworks:1600 node:150 java:1000 memcached:200 haproxy:200 postgresql:300
    mosquitto:200 lighttpd:200 apache:200 varnish:200 unbound:200 named:200 mariadb:300 dbus:200 xvfb:200 erlang:200 chromium:300
    grpc:400 dovecot:200 postfix:200 environment:200 http:200)
  string(REGEX MATCH "^([a-z-]+):([0-9]+)$" program ${program})
  set(name ${CMAKE_MATCH_1})
  set(bound ${CMAKE_MATCH_2})
  add_test(NAME program.${name} COMMAND ${CMAKE_CURRENT_LIST_DIR}/${name}.sh)
  set(alone TRUE)
  if(name MATCHES "^(python|cpython|libuv|libevent|frameworks|mosquitto|node|dbus|xvfb|unbound|named|grpc)$")
    set(alone FALSE)
  endif()
  set_tests_properties(program.${name} PROPERTIES
    TIMEOUT ${bound} RUN_SERIAL ${alone} RESOURCE_LOCK ${name} LABELS program SKIP_RETURN_CODE 77
    ENVIRONMENT "EPOLYFILL=${EPOLYFILL_LAUNCHER};EPOLYFILL_WAY=${program_way}")
  # Those that take less than a minute run once more with a ring wherever possible.
  if(name MATCHES "^(redis|nginx|tokio|node|java|memcached|haproxy|postgresql|mosquitto|lighttpd|dovecot|postfix|libevent|libuv|apache|named|dbus|grpc)$" AND "uring" IN_LIST EPOLYFILL_WAYS)
    add_test(NAME program-uring.${name} COMMAND ${CMAKE_CURRENT_LIST_DIR}/${name}.sh)
    set_tests_properties(program-uring.${name} PROPERTIES
      TIMEOUT ${bound} RUN_SERIAL ${alone} RESOURCE_LOCK ${name} LABELS program-uring SKIP_RETURN_CODE 77
      ENVIRONMENT "EPOLYFILL=${EPOLYFILL_LAUNCHER};EPOLYFILL_WAY=${program_way};EPOLYFILL_POLLER=uring")
  endif()
endforeach()

# Two minutes of the benchmarks' mixed load on 5,000 connections, with each poller: no event late,
# no wrong answer, no growth. Its processor time is measured on a quiet machine (benches/soak --ci);
# here it only must not be out of all proportion.
if("refused" IN_LIST EPOLYFILL_WAYS)
  add_test(NAME program.soak COMMAND ${repo}/benches/soak --ci --bound 60 --cpu 60 --growth 8
    --library ${EPOLYFILL_LIBRARY} --programs ${CMAKE_CURRENT_BINARY_DIR}/benches)
  set_tests_properties(program.soak PROPERTIES TIMEOUT 600 RUN_SERIAL TRUE LABELS program)
endif()
