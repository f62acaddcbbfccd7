/* For the tests of what epolyfill.h has beside epoll. */
#ifndef CAPI_H
#define CAPI_H

#include "harness.h"

#include <epolyfill.h>

#endif
