# The programs of this directory under `epolyfill --audit`, on the kernel's epoll and on the
# library's (-DEPOLYFILL_SEE_LIBRARY=FILE).
set(EPOLYFILL_SEE_LIBRARY "" CACHE FILEPATH "the library with the observer")
if(EPOLYFILL_SEE_LIBRARY)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c)
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    # "// libraries: -lssl -lcrypto"
    file(STRINGS ${source} libraries REGEX "^// libraries: ")
    string(REGEX REPLACE "^// libraries: " "" libraries "${libraries}")
    separate_arguments(libraries UNIX_COMMAND "${libraries}")
    add_executable(see.${name} ${source})
    target_link_libraries(see.${name} PRIVATE ${libraries})
    target_compile_options(see.${name} PRIVATE -g -O1 -fno-inline)
    target_link_libraries(see.${name} PRIVATE Threads::Threads)
    foreach(poller kernel poll)
      add_test(NAME see.${name}.${poller}
        COMMAND ${EPOLYFILL_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/audit.py ${EPOLYFILL_LAUNCHER} ${poller} ${source} $<TARGET_FILE:see.${name}>)
      set_tests_properties(see.${name}.${poller} PROPERTIES LABELS see TIMEOUT 150
        ENVIRONMENT "EPOLYFILL_LIBRARY=${EPOLYFILL_SEE_LIBRARY}")
    endforeach()
  endforeach()
  # Calls by number are the same facts.
  foreach(name half_of_each_message wake_up_after_the_close close_that_a_child_undoes clients_that_are_never_closed
      waits_on_a_closed_instance threads_forks_and_signals)
    add_executable(see.number.${name} ${CMAKE_CURRENT_LIST_DIR}/${name}.c $<TARGET_OBJECTS:by_number>)
    target_compile_options(see.number.${name} PRIVATE -g -O1 -fno-inline)
    target_link_libraries(see.number.${name} PRIVATE Threads::Threads)
    foreach(poller kernel poll)
      add_test(NAME see.number.${name}.${poller}
        COMMAND ${EPOLYFILL_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/audit.py ${EPOLYFILL_LAUNCHER} ${poller} ${CMAKE_CURRENT_LIST_DIR}/${name}.c
          $<TARGET_FILE:see.number.${name}>)
      set_tests_properties(see.number.${name}.${poller} PROPERTIES LABELS see TIMEOUT 150
        ENVIRONMENT "EPOLYFILL_LIBRARY=${EPOLYFILL_SEE_LIBRARY}")
    endforeach()
  endforeach()
  add_test(NAME see.first_process
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/first_process.sh ${EPOLYFILL_LAUNCHER} $<TARGET_FILE:see.waits_on_a_closed_instance>)
  set_tests_properties(see.first_process PROPERTIES LABELS see TIMEOUT 90 SKIP_RETURN_CODE 77
    ENVIRONMENT "EPOLYFILL_LIBRARY=${EPOLYFILL_SEE_LIBRARY}")
  add_test(NAME see.go COMMAND ${CMAKE_CURRENT_LIST_DIR}/go.sh ${EPOLYFILL_LAUNCHER})
  set_tests_properties(see.go PROPERTIES LABELS see TIMEOUT 150 SKIP_RETURN_CODE 77
    ENVIRONMENT "EPOLYFILL_LIBRARY=${EPOLYFILL_SEE_LIBRARY}")
  add_test(NAME see.trace COMMAND ${CMAKE_CURRENT_LIST_DIR}/trace.py ${EPOLYFILL_LAUNCHER} $<TARGET_FILE:see.all_calls>
    $<TARGET_FILE:see.half_of_each_message>)
  set_tests_properties(see.trace PROPERTIES LABELS see TIMEOUT 90 SKIP_RETURN_CODE 77
    ENVIRONMENT "EPOLYFILL_LIBRARY=${EPOLYFILL_SEE_LIBRARY}")

  add_test(NAME see.descriptors
    COMMAND ${EPOLYFILL_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/descriptors.py ${EPOLYFILL_LAUNCHER} $<TARGET_FILE:see.waits_on_a_closed_instance>
      $<TARGET_FILE:see.waits_on_a_closed_instance>)
  set_tests_properties(see.descriptors PROPERTIES LABELS see TIMEOUT 150
    ENVIRONMENT "EPOLYFILL_LIBRARY=${EPOLYFILL_SEE_LIBRARY}")
  add_test(NAME see.page
    COMMAND ${EPOLYFILL_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/page.py ${EPOLYFILL_LAUNCHER} $<TARGET_FILE:see.half_of_each_message> slept-edge)
  set_tests_properties(see.page PROPERTIES LABELS see TIMEOUT 400
    ENVIRONMENT "EPOLYFILL_LIBRARY=${EPOLYFILL_SEE_LIBRARY}")

  # Chaos: programs that fail under their kind only, and the judge under each strict kind.
  set(strict few many shuffle eintr late delay again close-parts other vain)
  foreach(kind IN LISTS strict ITEMS short small fault)
    foreach(twin faulty correct)
      add_executable(chaos.${kind}.${twin} ${CMAKE_CURRENT_LIST_DIR}/chaos/${kind}.c)
      target_link_libraries(chaos.${kind}.${twin} PRIVATE Threads::Threads)
      set_target_properties(chaos.${kind}.${twin} PROPERTIES OUTPUT_NAME ${kind}-${twin}
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/chaos)
    endforeach()
    target_compile_definitions(chaos.${kind}.faulty PRIVATE FAULTY)
    foreach(poller kernel poll)
      add_test(NAME chaos.${kind}.${poller}
        COMMAND ${CMAKE_CURRENT_LIST_DIR}/chaos/run ${EPOLYFILL_SEE_LIBRARY} ${CMAKE_CURRENT_BINARY_DIR}/chaos ${kind} ${poller})
      set_tests_properties(chaos.${kind}.${poller} PROPERTIES LABELS chaos TIMEOUT 300 COST 10)
    endforeach()
  endforeach()
  add_executable(chaos.cancelled ${CMAKE_CURRENT_LIST_DIR}/chaos/cancelled.c)
  target_link_libraries(chaos.cancelled PRIVATE Threads::Threads)
  foreach(poller kernel poll)
    add_test(NAME chaos.cancelled.${poller} COMMAND ${EPOLYFILL_LAUNCHER} --chaos=1,delay=1 --poller=${poller} -- $<TARGET_FILE:chaos.cancelled>)
    set_tests_properties(chaos.cancelled.${poller} PROPERTIES LABELS chaos TIMEOUT 60
      ENVIRONMENT "EPOLYFILL_LIBRARY=${EPOLYFILL_SEE_LIBRARY}")
  endforeach()
  add_test(NAME chaos.hunt
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/chaos/hunt ${EPOLYFILL_LAUNCHER} ${EPOLYFILL_SEE_LIBRARY} ${CMAKE_CURRENT_BINARY_DIR}/chaos)
  set_tests_properties(chaos.hunt PROPERTIES LABELS chaos TIMEOUT 600 COST 80)
  foreach(kind IN LISTS strict)
    add_test(NAME chaos.judge.${kind} COMMAND ${CMAKE_CURRENT_LIST_DIR}/chaos/judge ${EPOLYFILL_SEE_LIBRARY} ${kind})
    set_tests_properties(chaos.judge.${kind} PROPERTIES LABELS chaos TIMEOUT 1000 COST 20 PROCESSORS 2)
  endforeach()
endif()
