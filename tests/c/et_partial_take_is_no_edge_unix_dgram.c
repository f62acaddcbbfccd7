/* Reading one of two datagrams of a unix socket is not an edge (E2). */
#include "kinds.h"

void test(void) { partial_take_is_no_edge("unix dgram"); }
