/* A datagram of a unix socket that nobody reads is reported once (W4). */
#include "kinds.h"

void test(void) { unread_stays_silent("unix dgram"); }
