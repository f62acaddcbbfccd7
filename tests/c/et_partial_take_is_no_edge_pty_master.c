/* Reading a part of what a terminal's program wrote is no edge (E2). */
#include "kinds.h"

void test(void) { partial_take_is_no_edge("pty master"); }
