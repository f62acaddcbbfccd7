/* What is unread is reported once, whatever happens beside it, for all kinds where poll() can tell
 * (W4, E6). The others have a file each. */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, 0, OPAQUE) unread_stays_silent(kind->name);
}
