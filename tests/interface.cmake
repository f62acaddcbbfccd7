# The interfaces of the library apart from its behaviour: the manual pages, the binary interface,
# the header, and the pages that are generated.

if("refused" IN_LIST EPOLYFILL_WAYS)
  add_test(NAME interface.man COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/check-man ${EPOLYFILL_LAUNCHER})
  set_tests_properties(interface.man PROPERTIES LABELS interface TIMEOUT 60)
endif()

if("linked" IN_LIST EPOLYFILL_WAYS)
  add_test(NAME interface.ctest COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/header/run)
  set_tests_properties(interface.ctest PROPERTIES
    LABELS interface TIMEOUT 300 ENVIRONMENT "EPOLYFILL_LIBRARY=${EPOLYFILL_LIBRARY}")
endif()

# As in tests/programs/lib.sh, whichever other Pythons are installed.
set(EPOLYFILL_PYTHON /usr/bin/python3.11 CACHE FILEPATH "the Python that runs what is written in it")
if("linked" IN_LIST EPOLYFILL_WAYS)
  add_test(NAME interface.abi COMMAND ${EPOLYFILL_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/abi/check --library ${EPOLYFILL_LIBRARY})
  set_tests_properties(interface.abi PROPERTIES LABELS interface TIMEOUT 60 SKIP_RETURN_CODE 77)
endif()

# THIRD-PARTY.md names every crate that is linked in.
if("linked" IN_LIST EPOLYFILL_WAYS)
  add_test(NAME interface.third_party COMMAND ${EPOLYFILL_PYTHON} ${repo}/packaging/third-party --check)
  set_tests_properties(interface.third_party PROPERTIES LABELS interface TIMEOUT 60)
endif()

# The tables and plots of docs/performance.md are those of the stored run.
if("linked" IN_LIST EPOLYFILL_WAYS)
  add_test(NAME interface.performance_page COMMAND ${EPOLYFILL_PYTHON} ${repo}/benches/page --check)
  set_tests_properties(interface.performance_page PROPERTIES LABELS interface TIMEOUT 60)
endif()
