/* If the kernel refuses the filter that would trap the program's instructions, the library has no
 * use for SIGSYS: its action and the mask are those that the program was started with. */
#define IS_RUST
#include "raw_go.h"
#include "faults.h"

#if HAS_GO_CALLS
#include <signal.h>

#define STAGE "TRAPPED_PROGRAM_STAGE"

/* A mask of /proc/self/status. */
static bool has_sigsys(const char *name)
{
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    CHECK(status != NULL);
    while (fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, name, strlen(name)) == 0) {
            fclose(status);
            return strtoull(line + strlen(name), NULL, 16) >> (SIGSYS - 1) & 1;
        }
    CHECK(!"a mask");
    return false;
}

static void execute(const char *stage)
{
    OK(setenv(STAGE, stage, 1));
    execl("/proc/self/exe", "again", (char *)NULL);
    CHECK(!"executed");
}

static void nothing(int signal)
{
    (void)signal;
}

void test(void)
{
    const char *stage = getenv(STAGE);
    if (stage == NULL) {
        /* A program that is not trapped passes its signals on as they are. */
        OK(setenv("EPOLYFILL_RAW", "no", 1));
        OK(setenv("EPOLYFILL_QUIET", "1", 1));
        execute("untrapped");
    }
    sigset_t one, found;
    sigemptyset(&one), sigaddset(&one, SIGSYS);
    if (strcmp(stage, "untrapped") == 0) {
        CHECK(signal(SIGSYS, SIG_IGN) != SIG_ERR);
        OK(sigprocmask(SIG_BLOCK, &one, NULL));
        OK(setenv("EPOLYFILL_RAW", "yes", 1));
        refuse_call(SYS_prctl, EPERM);
        execute("refused");
    }
    CHECK(has_sigsys("SigIgn:") && has_sigsys("SigBlk:") && !has_sigsys("SigCgt:"));
    struct sigaction action;
    OK(sigaction(SIGSYS, NULL, &action));
    CHECK(action.sa_handler == SIG_IGN);
    OK(sigprocmask(SIG_UNBLOCK, &one, &found));
    CHECK_EQ(sigismember(&found, SIGSYS), 1);
    CHECK(!has_sigsys("SigBlk:"));
    CHECK(signal(SIGSYS, nothing) == SIG_IGN);
    CHECK(!has_sigsys("SigIgn:") && has_sigsys("SigCgt:"));
}

#else
void test(void)
{
    exit(SKIPPED);
}
#endif
