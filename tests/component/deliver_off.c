/* deliver without some of its protections (tests/support/off.h), for test_deliver: `dedupe` forgets
 * the attempts of the past, `signatures` believes every record. Breaker and cap have settings. */
#include "consumers/deliver_seen.h"
#include "schemas/signing.h"
#include "tests/support/off.h"

struct seen_entry *__real_seen_find(struct seen *seen, const struct seen_key *key);
struct seen_entry *__wrap_seen_find(struct seen *seen, const struct seen_key *key);
const char *__real_signing_distrust(struct signing *signing, enum topic topic,
                                    const struct envelope *env, const struct span *value);
const char *__wrap_signing_distrust(struct signing *signing, enum topic topic,
                                    const struct envelope *env, const struct span *value);

struct seen_entry *__wrap_seen_find(struct seen *seen, const struct seen_key *key)
{
    return off("dedupe") ? NULL : __real_seen_find(seen, key);
}

const char *__wrap_signing_distrust(struct signing *signing, enum topic topic,
                                    const struct envelope *env, const struct span *value)
{
    return off("signatures") ? NULL : __real_signing_distrust(signing, topic, env, value);
}
