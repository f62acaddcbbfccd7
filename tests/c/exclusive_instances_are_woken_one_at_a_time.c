/* When all exclusive instances wait, a connection wakes exactly one of them (X1). */
#include "exclusive.h"

void test(void)
{
    struct crew crew;
    start_crew(&crew);
    for (int i = 1; i <= CONNECTIONS; i++) {
        wait_until_crew_is_blocked(&crew);
        int client = tcp_client_of(crew.listener);
        UNTIL(atomic_load(&crew.accepted) == i);
        wait_until_crew_is_blocked(&crew);
        CHECK_EQ(atomic_load(&crew.wakes), i);
        OK(close(client));
    }
    stop_crew(&crew);
}
