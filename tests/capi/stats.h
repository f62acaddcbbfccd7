/* For the tests of epolyfill_stats. */
#ifndef STATS_H
#define STATS_H

#include "capi.h"

static inline struct epolyfill_stats stats_of(int ep)
{
    struct epolyfill_stats stats;
    memset(&stats, 0xff, sizeof stats);
    CHECK_EQ(epolyfill_stats(ep, &stats, sizeof stats), sizeof stats);
    return stats;
}

/* By how much a counter grew. */
#define GREW(field) (stats_of(ep).field - before.field)

#endif
