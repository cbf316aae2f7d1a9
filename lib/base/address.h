/* Which IP addresses a webhook may be sent to: classes of addresses as pure rules (address.def).
 *
 * Judged is the binary address that a connection is about to be made to, never a name or a
 * spelling: whatever 0x7f.1 or 2130706433 mean, the resolver has said it before. An address that
 * carries an IPv4 address (mapped, NAT64, 6to4, Teredo, ...) is unwrapped, and both must be let
 * through. The only way around is the operator's list of networks; no tenant can say anything here.
 */
#pragma once
#include "lib/base/err.h"
#include "lib/base/span.h"

struct sockaddr;
struct address {
    uint8_t len; /* 4 or 16 */
    uint8_t bytes[16];
};
#define ADDRESS_TEXT 46 /* with NUL */

enum address_class {
#define ADDRESS_CLASS(name, text) ADDRESS_##name,
#include "lib/base/address.def"
#undef ADDRESS_CLASS
    ADDRESS_CLASS_COUNT
};
const char *address_class_name(enum address_class class); /* "link_local" */
const char *address_class_text(enum address_class class); /* "link-local" */

/* The canonical spellings alone (inet_pton). */
int address_parse(struct span text, struct address *out) __attribute__((warn_unused_result));
/* -1: of another family. */
int address_of(const struct sockaddr *from, struct address *out)
    __attribute__((warn_unused_result));
void address_format(const struct address *address, char out[ADDRESS_TEXT]);

/* ADDRESS_public, or why it is denied: the class of the IPv4 address that it carries when that is
 * denied, else its own. */
enum address_class address_class(const struct address *address);

#define ADDRESS_NETWORKS_MAX 64
struct address_policy { /* zeroed: nothing but public addresses */
    size_t count;
    struct address_network {
        struct address base;
        uint8_t bits;
    } allowed[ADDRESS_NETWORKS_MAX];
};
/* "10.1.0.0/16,fd00:1::/32", spaces allowed; "" = none. ERR_CONFIG names the part and its rule. */
int address_policy_parse(const char *text, struct address_policy *out, struct err *err) MUST_CHECK;
bool address_permitted(const struct address_policy *policy, const struct address *address);
