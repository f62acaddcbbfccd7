/* Four exclusive instances in four threads watch one listener beside one that is not exclusive:
 * each connection wakes at least one of the four and always the fifth, and all are accepted (X1,
 * T7). */
#include "exclusive.h"

void test(void)
{
    struct crew crew;
    start_crew(&crew);
    for (int i = 1; i <= CONNECTIONS; i++) {
        wait_until_crew_is_blocked(&crew);
        struct waiter beside;
        start_waiter(&beside, crew.beside);

        /* If the connection were accepted before the fifth instance looks, the fifth would rightly
         * report nothing (W7). */
        atomic_store(&crew.hold, true);
        int client = tcp_client_of(crew.listener);
        CHECK_EQ(join_waiter(&beside), 1);
        atomic_store(&crew.hold, false);
        UNTIL(atomic_load(&crew.accepted) == i);
        CHECK(atomic_load(&crew.wakes) >= i);
        OK(close(client));
    }
    stop_crew(&crew);
}
