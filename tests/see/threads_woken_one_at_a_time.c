// Four threads, with an instance each, of which one is woken for a connection.
// audit: nothing
#include "listeners.h"

int main(void)
{
    return serve(EPOLLIN | EPOLLEXCLUSIVE, 120);
}
