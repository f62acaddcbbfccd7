/* Reading one of two signals is not an edge (E2). */
#include "kinds.h"

void test(void) { partial_take_is_no_edge("signalfd"); }
