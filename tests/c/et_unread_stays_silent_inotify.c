/* An inotify event that is not read is reported once (W4). */
#include "kinds.h"

void test(void) { unread_stays_silent("inotify"); }
