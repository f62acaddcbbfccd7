// Four threads, with an instance each, are woken for every connection; three find nothing.
// audit: fault herd watch
#include "listeners.h"

int main(void)
{
    return serve(EPOLLIN, 120);
}
