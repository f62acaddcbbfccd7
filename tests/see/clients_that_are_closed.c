// Closes the connection of each client that has gone.
// audit: nothing
#include "clients.h"

int main(void)
{
    serve(new_instance(), 25, 1);
    return 7;
}
