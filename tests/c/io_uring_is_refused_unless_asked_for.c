/* An event loop that finds io_uring would control epoll past the library: io_uring_setup() through
 * syscall() is ENOSYS, unless EPOLYFILL_IO_URING=1 lets the call reach the kernel. DIFFERS */
#include "bare.h"
#include "harness.h"

/* The kernel's result, by a system call without libc. */
static long kernel_answer(void) { return bare(SYS_io_uring_setup, 0, 0, 0, 0, 0, 0); }

void test(void)
{
    if (on_the_kernel() || test_argv[1]) {
        CHECK(kernel_answer() < 0);
        CHECK_ERRNO(syscall(SYS_io_uring_setup, 0, NULL), -kernel_answer());
        return;
    }
    unsetenv("EPOLYFILL_IO_URING");
    char params[256] = {0};
    CHECK_ERRNO(syscall(SYS_io_uring_setup, 4, params), ENOSYS);
    CHECK_ERRNO(syscall(SYS_io_uring_setup, 0, NULL), ENOSYS);
    OK(setenv("EPOLYFILL_IO_URING", "1", 1));
    execl("/proc/self/exe", test_argv[0], "asked", (char *)NULL);
    die(__FILE__, __LINE__, "exec failed");
}
