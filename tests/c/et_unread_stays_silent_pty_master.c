/* What a terminal's program wrote and nobody reads is reported once (W4). */
#include "kinds.h"

void test(void) { unread_stays_silent("pty master"); }
