/* Unread input of a terminal is reported once on its slave (W4). */
#include "kinds.h"

void test(void) { unread_stays_silent("pty slave"); }
