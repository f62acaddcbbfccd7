/* Accepting one of two connections of a unix listener is not an edge (E2). */
#include "kinds.h"

void test(void) { partial_take_is_no_edge("unix listener"); }
