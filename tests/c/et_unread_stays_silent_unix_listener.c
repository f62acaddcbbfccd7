/* A connection of a unix listener that is not accepted is reported once (W4). */
#include "kinds.h"

void test(void) { unread_stays_silent("unix listener"); }
