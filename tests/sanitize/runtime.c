/* Functions that rustc's instrumentation calls and that gcc's ThreadSanitizer runtime has only
 * under other names. Built without instrumentation. */
#include <string.h>

void *__tsan_memcpy(void *to, const void *from, size_t n) { return memcpy(to, from, n); }
void *__tsan_memmove(void *to, const void *from, size_t n) { return memmove(to, from, n); }
void *__tsan_memset(void *to, int byte, size_t n) { return memset(to, byte, n); }
