# The programs of this directory under `epolyfill --audit`, on the kernel's epoll and on the
# library's (-DEPOLYFILL_SEE_LIBRARY=FILE).
set(EPOLYFILL_SEE_LIBRARY "" CACHE FILEPATH "the library with the observer")
if(EPOLYFILL_SEE_LIBRARY)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c)
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    add_executable(see.${name} ${source})
    target_compile_options(see.${name} PRIVATE -g -O1 -fno-inline)
    target_link_libraries(see.${name} PRIVATE Threads::Threads)
    foreach(poller kernel poll)
      add_test(NAME see.${name}.${poller}
        COMMAND ${EPOLYFILL_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/audit.py ${EPOLYFILL_LAUNCHER} ${poller} ${source} $<TARGET_FILE:see.${name}>)
      set_tests_properties(see.${name}.${poller} PROPERTIES LABELS see TIMEOUT 150
        ENVIRONMENT "EPOLYFILL_LIBRARY=${EPOLYFILL_SEE_LIBRARY}")
    endforeach()
  endforeach()
endif()
