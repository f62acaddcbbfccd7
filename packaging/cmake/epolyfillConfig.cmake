# find_package(epolyfill) gives
#
#   epolyfill::epolyfill   the shared library, also for programs in which only another library calls
#                          epoll
#   epolyfill::static      the static library, linked whole, if it is installed
#   epolyfill::side        libepolyfill-side, for use beside the kernel's epoll, if it is installed
#
# and epolyfill_VERSION. The installation does not change this file. It is in
# PREFIX/share/cmake/epolyfill, and searches for the other files under PREFIX.

get_filename_component(_epolyfill_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

# Not with find_library: that would keep the result in the cache, where it outlives a change of the
# prefix, and search other directories too.
function(_epolyfill_find result name)
  set(directories lib lib64)
  if(CMAKE_LIBRARY_ARCHITECTURE)
    list(PREPEND directories lib/${CMAKE_LIBRARY_ARCHITECTURE})
  endif()
  foreach(directory IN LISTS directories)
    if(EXISTS "${_epolyfill_prefix}/${directory}/${name}")
      set(${result} "${_epolyfill_prefix}/${directory}/${name}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  set(${result} "" PARENT_SCOPE)
endfunction()

_epolyfill_find(_epolyfill_shared libepolyfill.so)
_epolyfill_find(_epolyfill_static libepolyfill.a)
_epolyfill_find(_epolyfill_side libepolyfill-side.so)

if(NOT EXISTS "${_epolyfill_prefix}/include/epolyfill.h" OR NOT (_epolyfill_shared OR _epolyfill_side))
  set(${CMAKE_FIND_PACKAGE_NAME}_FOUND FALSE)
  set(${CMAKE_FIND_PACKAGE_NAME}_NOT_FOUND_MESSAGE "libepolyfill.so or epolyfill.h is not under ${_epolyfill_prefix}")
  return()
endif()

foreach(_epolyfill_component shared static side)
  set(epolyfill_${_epolyfill_component}_FOUND FALSE)
  if(_epolyfill_${_epolyfill_component})
    set(epolyfill_${_epolyfill_component}_FOUND TRUE)
  endif()
endforeach()
foreach(_epolyfill_component IN LISTS ${CMAKE_FIND_PACKAGE_NAME}_FIND_COMPONENTS)
  if(${CMAKE_FIND_PACKAGE_NAME}_FIND_REQUIRED_${_epolyfill_component} AND NOT epolyfill_${_epolyfill_component}_FOUND)
    set(${CMAKE_FIND_PACKAGE_NAME}_FOUND FALSE)
    set(${CMAKE_FIND_PACKAGE_NAME}_NOT_FOUND_MESSAGE "there is no component ${_epolyfill_component} under ${_epolyfill_prefix}")
    return()
  endif()
endforeach()

# The library is linked a second time with --no-as-needed: with --as-needed the linker would drop it
# from a program in which only another library calls epoll.
if(_epolyfill_shared AND NOT TARGET epolyfill::epolyfill)
  add_library(epolyfill::epolyfill SHARED IMPORTED)
  set_target_properties(epolyfill::epolyfill PROPERTIES
    IMPORTED_LOCATION "${_epolyfill_shared}"
    IMPORTED_SONAME "libepolyfill.so.${epolyfill_VERSION_MAJOR}"
    INTERFACE_INCLUDE_DIRECTORIES "${_epolyfill_prefix}/include"
    INTERFACE_LINK_LIBRARIES "-Wl,--push-state,--no-as-needed,${_epolyfill_shared},--pop-state")
endif()

if(_epolyfill_side AND NOT TARGET epolyfill::side)
  add_library(epolyfill::side SHARED IMPORTED)
  set_target_properties(epolyfill::side PROPERTIES
    IMPORTED_LOCATION "${_epolyfill_side}"
    IMPORTED_SONAME "libepolyfill-side.so.${epolyfill_VERSION_MAJOR}"
    INTERFACE_INCLUDE_DIRECTORIES "${_epolyfill_prefix}/include")
endif()

# Linked whole, because the linker extracts no archive member for a symbol such as `close`, which
# libc defines as well.
if(_epolyfill_static AND NOT TARGET epolyfill::static)
  add_library(epolyfill::static INTERFACE IMPORTED)
  set_target_properties(epolyfill::static PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${_epolyfill_prefix}/include"
    INTERFACE_LINK_LIBRARIES "-Wl,--whole-archive;${_epolyfill_static};-Wl,--no-whole-archive;-lgcc_s;-lpthread;-ldl")
endif()

unset(_epolyfill_prefix)
unset(_epolyfill_shared)
unset(_epolyfill_static)
unset(_epolyfill_side)
unset(_epolyfill_component)
