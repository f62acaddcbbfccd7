/* What was typed at a terminal and nobody reads is reported once (W4). */
#include "kinds.h"

void test(void) { unread_stays_silent("pty slave"); }
