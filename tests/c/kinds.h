/* One specimen of each kind of descriptor, and the operations that tests of behaviour use: data
 * arrives, a part is taken, everything is taken. A test can loop over all kinds. */
#ifndef KINDS_H
#define KINDS_H

#include "harness.h"

enum trait {
    PARTS = 1,   /* one of two arrivals can be taken */
    BYTES = 2,   /* a stream: one arrival can be taken in parts */
    OPAQUE = 4,  /* poll() may hide an arrival beside unread data: silence is tested separately */
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
    int held[64], nheld; /* connections that were made and accepted */
};

struct kind {
    const char *name;
    unsigned traits;
    void (*make)(struct specimen *);
    void (*feed)(struct specimen *);           /* makes data arrive at fd */
    void (*take)(struct specimen *, bool all); /* one call: a whole arrival, or the minimum */
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

/* Loops over the kinds that have all the traits of `with` and none of `without`. */
#define FOR_EACH_KIND(k, with, without)                                                                                \
    for (const struct kind *k = kinds; k->name != NULL; k++)                                                           \
        if ((k->traits & (with)) == (with) && !(k->traits & (without)) && (subject = k->name))

/* Unread data is not reported again. For an opaque kind a repeated report does not concern this
 * test. */
#define EXPECT_NO_EDGE_NOW(ep, kind)                                                                                   \
    do {                                                                                                               \
        if (!((kind)->traits & OPAQUE))                                                                                \
            EXPECT_NONE_NOW(ep);                                                                                       \
    } while (0)

/* A thread sleeps in a wait while arrivals are unread; a further arrival wakes it and is
 * reported. */
void expect_arrival_to_wake(struct specimen *specimen, int ep, void (*arrive)(struct specimen *));

/* The common part of the tests of opaque kinds, which have a file for each kind. */
void partial_take_is_no_edge(const char *kind_name);
void unread_stays_silent(const char *kind_name);

#endif
