/* lib/http/post.h without a network, for tests of deliver: POSTs "fly" until the test ends them, or
 * until a rule of the test answers them at the next turn. Link test_post_memory instead of rb_post.
 */
#pragma once
#include "lib/http/post.h"

struct post_memory_seen {
    char url[512], id[64], timestamp[32], signature[512];
    char body[4096];
    void *owner;
    bool over;
};

void post_memory_reset(void);
/* Every POST whose URL contains text ends so at the next turn; the newest rule wins. */
void post_memory_rule(const char *text, enum post_end end, unsigned status,
                      const char *retry_after);
size_t post_memory_count(void); /* POSTs so far */
const struct post_memory_seen *post_memory_get(size_t index);
size_t post_memory_flying(void);
size_t post_memory_most(const char *text); /* most at the same time to URLs that contain text */
size_t post_memory_to(const char *text);   /* POSTs so far to such URLs */
