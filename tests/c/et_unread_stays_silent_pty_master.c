/* Unread output of a terminal is reported once on its master (W4). */
#include "kinds.h"

void test(void) { unread_stays_silent("pty master"); }
