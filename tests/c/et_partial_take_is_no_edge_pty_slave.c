/* A partial read of a terminal's input from its slave is not an edge (E2). */
#include "kinds.h"

void test(void) { partial_take_is_no_edge("pty slave"); }
