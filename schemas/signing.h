/* Who wrote a record: its signature with the installation's signing secret ([secrets]
 * signing_file).
 *
 * Whoever can reach the broker can write a record with any headers; only a holder of the secret can
 * sign it. So every record on which the pipeline acts is signed by its writer and believed only
 * after signing_distrust has nothing against it. The table of who may write which topic is in
 * signing.c. `progress` is not signed: it decides nothing but the word "running".
 * A signed record that is written again, byte for byte, still verifies: readers are idempotent by
 * id, and a revoked key stays revoked. */
#pragma once
#include "lib/base/buf.h"
#include "lib/crypto/crypto.h"
#include "schemas/envelope.h"

struct signing {
    uint8_t secret[KEY_BYTES];
    struct buf text; /* reused */
};

void signing_init(struct signing *signing, const uint8_t secret[KEY_BYTES]);
void signing_done(struct signing *signing); /* wipes the secret; a zeroed one is fine too */

/* Sets digest (of value), signer and signature. signer: "gateway", "admit", "execute", "admin",
 * "relay", "deliver". Whatever is changed in env afterwards breaks the signature. */
int signing_sign(struct signing *signing, const char *signer, struct span value,
                 struct envelope *env, struct err *err) MUST_CHECK;
/* NULL: this record of `topic` is to be believed; else why not (a literal, for `dead` and the log).
 * value NULL: headers alone, for readers that use nothing else, or check the digest themselves. */
const char *signing_distrust(struct signing *signing, enum topic topic, const struct envelope *env,
                             const struct span *value);
/* The same of the value alone, when the headers are believed already. */
const char *signing_distrust_value(const struct envelope *env, const struct span *value);
