# The version is that of the installed header. Any version with the same major number is compatible,
# as for the soname.

set(PACKAGE_VERSION_COMPATIBLE FALSE)
set(PACKAGE_VERSION_EXACT FALSE)
set(_epolyfill_header "${CMAKE_CURRENT_LIST_DIR}/../../../include/epolyfill.h")
if(EXISTS "${_epolyfill_header}")
  file(STRINGS "${_epolyfill_header}" _epolyfill_line REGEX "^#define EPOLYFILL_VERSION \"[0-9.]+.*\"$")
  string(REGEX MATCH "([0-9]+)\\.[0-9]+\\.[0-9]+" PACKAGE_VERSION "${_epolyfill_line}")
  set(_epolyfill_major "${CMAKE_MATCH_1}")
  if(PACKAGE_FIND_VERSION_MAJOR STREQUAL _epolyfill_major AND NOT PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
  endif()
  if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
unset(_epolyfill_header)
unset(_epolyfill_line)
unset(_epolyfill_major)

# A program of another word size cannot link it.
if(CMAKE_SIZEOF_VOID_P AND NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
  set(PACKAGE_VERSION "${PACKAGE_VERSION} (64 bit)")
  set(PACKAGE_VERSION_UNSUITABLE TRUE)
endif()
