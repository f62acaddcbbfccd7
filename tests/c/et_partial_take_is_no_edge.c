/* A partial read is not an edge, for all kinds where a count of arrivals or the instance itself can
 * show it (E2). Each of the other kinds has its own test. */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, PARTS, OPAQUE) partial_take_is_no_edge(kind->name);
}
