# What `epolyfill --why` says of hanging loops, under each poller; on the kernel's epoll with
# -DEPOLYFILL_SEE_LIBRARY=FILE.
if("refused" IN_LIST EPOLYFILL_WAYS)
  add_executable(why.loop ${CMAKE_CURRENT_LIST_DIR}/loop.c)
  set_target_properties(why.loop PROPERTIES OUTPUT_NAME loop RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/why)
  foreach(poller poll uring kernel)
    set(library ${EPOLYFILL_LIBRARY})
    if(poller STREQUAL "kernel")
      set(library ${EPOLYFILL_SEE_LIBRARY})
    endif()
    if(library)
      add_test(NAME why.${poller}
        COMMAND ${CMAKE_CURRENT_LIST_DIR}/run ${EPOLYFILL_LAUNCHER} ${library} $<TARGET_FILE:why.loop> ${poller})
      set_tests_properties(why.${poller} PROPERTIES LABELS why TIMEOUT 60)
    endif()
  endforeach()
endif()
