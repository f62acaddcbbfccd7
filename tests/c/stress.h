/* Randomized tests that run for a while: a second or two by default, `--seconds N` by hand, `--seed
 * N` for another start. The actions of each thread follow from its seed; how they interleave
 * depends on the scheduler. */
#ifndef STRESS_H
#define STRESS_H

#include "harness.h"

static inline long stress_option(const char *name, long otherwise)
{
    for (char **argument = test_argv + 1; *argument && argument[1]; argument++)
        if (strcmp(*argument, name) == 0)
            return atol(argument[1]);
    return otherwise;
}

static inline int64_t stress_end(void) { return now_ns() + stress_option("--seconds", 1) * 1000000000ll; }

static inline uint64_t stress_seed(uint64_t thread)
{
    return ((uint64_t)stress_option("--seed", getpid()) << 8 | thread) * 0x9e3779b97f4a7c15ull | 1;
}

static inline unsigned chance(uint64_t *state, unsigned below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (unsigned)((*state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

#endif
