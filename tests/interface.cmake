# What programs and people meet of the library beside its behaviour: the manual pages, the binary interface, the header.

if("refused" IN_LIST EPOLYFILL_WAYS)
  add_test(NAME interface.man COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/check-man ${EPOLYFILL_LAUNCHER})
  set_tests_properties(interface.man PROPERTIES LABELS interface TIMEOUT 60)
endif()

if("linked" IN_LIST EPOLYFILL_WAYS)
  add_test(NAME interface.ctest COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/header/run)
  set_tests_properties(interface.ctest PROPERTIES
    LABELS interface TIMEOUT 300 ENVIRONMENT "EPOLYFILL_LIBRARY=${EPOLYFILL_LIBRARY}")
endif()
