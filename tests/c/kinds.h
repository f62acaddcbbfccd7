/* One specimen of each kind of descriptor, with the acts that every behaviour is tried by:
 * something arrives, a part is taken, everything is taken. So that a test of behaviour can loop
 * over all kinds. */
#ifndef KINDS_H
#define KINDS_H

#include "harness.h"

enum trait {
    PARTS = 1,   /* of two arrivals one can be taken */
    BYTES = 2,   /* a stream: one arrival can be taken in parts */
    OPAQUE = 4,  /* poll() may not tell an arrival from what was there before: absence of reports is tested apart */
    WRITES = 8,  /* both ends write */
};

struct specimen {
    const struct kind *kind;
    int fd;     /* the watched end, nonblocking */
    int feeder; /* the other end, or -1 */
    int extra;
    int serial;
    pid_t owner;
    char dir[32];
    int held[64], nheld; /* connections made and accepted */
};

struct kind {
    const char *name;
    unsigned traits;
    void (*make)(struct specimen *);
    void (*feed)(struct specimen *);           /* something new arrives at fd */
    void (*take)(struct specimen *, bool all); /* one call; all: takes all of one arrival, else as little as can be */
    void (*drain)(struct specimen *);          /* until EAGAIN */
};

extern const struct kind kinds[];
const struct kind *kind_named(const char *name);
void make(struct specimen *specimen, const struct kind *kind);
void feed(struct specimen *specimen);
void take_part(struct specimen *specimen);
void take_arrival(struct specimen *specimen);
void drain(struct specimen *specimen);
void discard(struct specimen *specimen); /* closes everything */

/* Every kind in turn that has all the traits of `with` and none of `without`. */
#define FOR_EACH_KIND(k, with, without)                                                                                \
    for (const struct kind *k = kinds; k->name != NULL; k++)                                                           \
        if ((k->traits & (with)) == (with) && !(k->traits & (without)) && (subject = k->name))

/* Nothing new is reported of what is unread; of an opaque kind a repeated report is not this test's
 * matter. */
#define EXPECT_NO_EDGE_NOW(ep, kind)                                                                                   \
    do {                                                                                                               \
        if (!((kind)->traits & OPAQUE))                                                                                \
            EXPECT_NONE_NOW(ep);                                                                                       \
    } while (0)

/* A thread sleeps in a wait on what has unread arrivals; another comes and is reported. */
void expect_arrival_to_wake(struct specimen *specimen, int ep, void (*arrive)(struct specimen *));

/* What is the same in a file for each opaque kind. */
void partial_take_is_no_edge(const char *kind_name);
void unread_stays_silent(const char *kind_name);

#endif
