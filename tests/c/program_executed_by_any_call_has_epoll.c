/* A program that is executed with an empty environment has epoll, whichever call executes it, and
 * gets its arguments unchanged: in a child, in a vfork child, in a thread, and in a signal handler
 * on a stack of its own. */
#include "execs.h"

#define WORDS 12

/* The arguments after the first: whether the library is present, and numbers. */
static void in_the_program(void)
{
    int n = 1, ep = new_epoll(), fd = OK(eventfd(1, 0));
    CHECK_EQ(is_served(), test_argv[1][0] == 's');
    for (; test_argv[n]; n++)
        if (n > 1)
            CHECK_EQ(atoi(test_argv[n]), n);
    CHECK(n >= 4 && n <= WORDS);
    ADD(ep, fd, EPOLLIN | EPOLLET, 7);
    EXPECT_ONE(ep, 7, EPOLLIN);
}

static const struct exec *exec;
static char *words[WORDS + 1], *nothing[] = {NULL}, **passed = nothing;

static void *execute(void *unused)
{
    exec->call(words, passed);
    _exit(127);
    return unused;
}
static void handle(int signal)
{
    (void)signal;
    execute(NULL);
}

static void in_a_child(void)
{
    pid_t child = OK(fork());
    if (child == 0)
        execute(NULL);
    expect_exit_0(child);
}
static void in_a_vfork_child(void)
{
    char **own = environ;
    pid_t child = OK(vfork());
    if (child == 0)
        execute(NULL);
    environ = own;
    expect_exit_0(child);
}
static void in_a_thread(void)
{
    pid_t child = OK(fork());
    if (child == 0) {
        struct thread thread;
        start_thread(&thread, execute, NULL);
        for (;;)
            pause();
    }
    expect_exit_0(child);
}
static void in_a_handler(void)
{
    size_t size = sysconf(_SC_SIGSTKSZ);
    stack_t stack = {.ss_sp = malloc(size), .ss_size = size};
    pid_t child = OK(fork());
    if (child == 0) {
        struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK | SA_NODEFER};
        OK(sigaltstack(&stack, NULL));
        OK(sigaction(SIGUSR1, &action, NULL));
        raise(SIGUSR1);
        _exit(125);
    }
    expect_exit_0(child);
    free(stack.ss_sp);
}

void test(void)
{
    if (test_argv[1]) {
        in_the_program();
        return;
    }
    char number[WORDS][12];
    for (int i = 2; i < WORDS; i++) {
        snprintf(number[i], sizeof number[i], "%d", i);
        words[i] = number[i];
    }
    words[0] = test_argv[0];
    words[1] = is_served() ? "served" : "not";
    for (int i = 0; i < EXECS; i++) {
        exec = &execs[i];
        subject = exec->name;
        in_a_child();
        /* Also without an array (NULL), which Linux takes for an empty one. (libc's fexecve does
         * not.) */
        if (!exec->is_a_line && exec->call != by_fexecve) {
            passed = NULL;
            in_a_child();
            passed = nothing;
        }
        if (!exec->starts_a_process) {
            in_a_vfork_child();
            in_a_thread();
            in_a_handler();
        }
    }
}
