/*
 * epolyfill: Linux epoll on top of poll(2).
 *
 * A program that links libepolyfill.so, or runs with it in LD_PRELOAD, calls epoll by the names of <sys/epoll.h>. This header
 * adds what epolyfill has beside them.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 * Generated from src/capi.rs; do not edit.
 */

#ifndef EPOLYFILL_H
#define EPOLYFILL_H

#include <sys/epoll.h>
/* The version of this header. */
#define EPOLYFILL_VERSION "0.1.0"
#define EPOLYFILL_VERSION_MAJOR 0
#define EPOLYFILL_VERSION_MINOR 1
#define EPOLYFILL_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The version of the library that is loaded, as `"MAJOR.MINOR.PATCH"`.

 The string is static. To learn at build time which version the header is of, use `EPOLYFILL_VERSION`. That the dynamic
 linker finds this symbol in a process is the sign that epolyfill serves it.
 */
const char *epolyfill_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* EPOLYFILL_H */
