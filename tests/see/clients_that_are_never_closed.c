// Keeps the connections of all clients that have gone.
// audit: fault end-unheeded watch
#include "clients.h"

int main(void)
{
    serve(new_instance(), 25, 0);
    return 7;
}
