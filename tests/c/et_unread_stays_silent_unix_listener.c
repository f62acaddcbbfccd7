/* A connection of a unix listener that nobody accepts is reported once (W4). */
#include "kinds.h"

void test(void) { unread_stays_silent("unix listener"); }
