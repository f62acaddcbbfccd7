/* Taking a part of what is there is no edge, for all kinds where a counter or the instance itself
 * can tell (E2). The kinds where nothing can tell have a file each. */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, PARTS, OPAQUE) partial_take_is_no_edge(kind->name);
}
