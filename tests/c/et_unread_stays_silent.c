/* Unread data is reported once, whatever else happens, for all kinds where poll() can show it (W4,
 * E6). Each of the other kinds has its own test. */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, 0, OPAQUE) unread_stays_silent(kind->name);
}
