/* A burst of connections to exclusive instances, level or edge, is accepted completely (X1, E6). */
#include "exclusive.h"

void test(void)
{
    struct crew crew;
    start_crew(&crew);
    for (int round = 1; round <= 20; round++) {
        int clients[40];
        for (int i = 0; i < 40; i++)
            clients[i] = tcp_client_of(crew.listener);
        UNTIL(atomic_load(&crew.accepted) == round * 40);
        for (int i = 0; i < 40; i++)
            OK(close(clients[i]));
    }
    stop_crew(&crew);
}
