/* Reading a part of what was typed at a terminal is no edge (E2). */
#include "kinds.h"

void test(void) { partial_take_is_no_edge("pty slave"); }
