/* For the tests of the functions that epolyfill.h has beyond epoll. */
#ifndef CAPI_H
#define CAPI_H

#include "harness.h"

#include <epolyfill.h>

#endif
