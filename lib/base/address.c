/* Classes of addresses and the operator's list (address.h). */
#include "lib/base/address.h"
#include "lib/base/strict.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static const struct {
    const char *name, *text;
} classes[ADDRESS_CLASS_COUNT] = {
#define ADDRESS_CLASS(name, text) [ADDRESS_##name] = {#name, text},
#include "lib/base/address.def"
#undef ADDRESS_CLASS
};

struct range {
    enum address_class class;
    uint8_t bits, bytes[16];
};

static const struct range ranges4[] = {
#define V4(class, a, b, c, d, bits) {ADDRESS_##class, bits, {a, b, c, d}},
#include "lib/base/address.def"
#undef V4
};

#define TWO(group) (uint8_t)((group) >> 8), (uint8_t)((group)&0xff)
static const struct range ranges6[] = {
#define V6(class, bits, a, b, c, d, e, f, g, h)                                                    \
    {ADDRESS_##class, bits, {TWO(a), TWO(b), TWO(c), TWO(d), TWO(e), TWO(f), TWO(g), TWO(h)}},
#include "lib/base/address.def"
#undef V6
};

const char *address_class_name(enum address_class class)
{
    CHECK((unsigned)class < ADDRESS_CLASS_COUNT);
    return classes[class].name;
}

const char *address_class_text(enum address_class class)
{
    CHECK((unsigned)class < ADDRESS_CLASS_COUNT);
    return classes[class].text;
}

/* ---- texts and socket addresses ---- */

int address_parse(struct span text, struct address *out)
{
    char copy[ADDRESS_TEXT];
    if (span_copy(text, copy, sizeof copy))
        return -1;
    *out = (struct address){.len = 4};
    if (inet_pton(AF_INET, copy, out->bytes) == 1)
        return 0;
    out->len = 16;
    return inet_pton(AF_INET6, copy, out->bytes) == 1 ? 0 : -1;
}

int address_of(const struct sockaddr *from, struct address *out)
{
    *out = (struct address){.len = 0};
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        out->len = 4;
        memcpy(out->bytes, &in.sin_addr, 4);
        return 0;
    }
    if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, from, sizeof in6);
        out->len = 16;
        memcpy(out->bytes, &in6.sin6_addr, 16);
        return 0;
    }
    return -1;
}

void address_format(const struct address *address, char out[ADDRESS_TEXT])
{
    out[0] = '\0';
    if (address->len == 4 || address->len == 16)
        inet_ntop(address->len == 4 ? AF_INET : AF_INET6, address->bytes, out, ADDRESS_TEXT);
}

/* ---- classes ---- */

static bool within(const uint8_t *bytes, const uint8_t *base, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(bytes, base, whole) != 0)
        return false;
    return rest == 0 || (bytes[whole] ^ base[whole]) >> (8 - rest) == 0;
}

static enum address_class outer_class(const struct address *address)
{
    const struct range *ranges = address->len == 4 ? ranges4 : ranges6;
    size_t count = address->len == 4 ? COUNT_OF(ranges4) : COUNT_OF(ranges6);
    for (size_t i = 0; i < count; i++)
        if (within(address->bytes, ranges[i].bytes, ranges[i].bits))
            return ranges[i].class;
    if (address->len == 4)
        return ADDRESS_public;
    static const uint8_t isatap[2][4] = {{0, 0, 0x5e, 0xfe}, {2, 0, 0x5e, 0xfe}};
    if (memcmp(address->bytes + 8, isatap[0], 4) == 0 ||
        memcmp(address->bytes + 8, isatap[1], 4) == 0)
        return ADDRESS_isatap;
    return address->bytes[0] >> 5 == 1 ? ADDRESS_public : ADDRESS_reserved; /* 2000::/3 */
}

/* The IPv4 address inside, by the class of what is around it. */
static bool unwrap(const struct address *address, enum address_class class, struct address *inner)
{
    size_t at = 12;
    uint8_t flip = 0;
    if (address->len == 4)
        return false;
    if (class == ADDRESS_sixtofour)
        at = 2;
    else if (class == ADDRESS_teredo)
        flip = 0xff; /* the client's address is stored inverted */
    else if (class != ADDRESS_mapped && class != ADDRESS_compatible && class != ADDRESS_nat64 &&
             class != ADDRESS_isatap)
        return false;
    *inner = (struct address){.len = 4};
    for (size_t i = 0; i < 4; i++)
        inner->bytes[i] = address->bytes[at + i] ^ flip;
    return true;
}

enum address_class address_class(const struct address *address)
{
    struct address inner;
    if (address->len != 4 && address->len != 16)
        return ADDRESS_reserved;
    enum address_class class = outer_class(address);
    if (!unwrap(address, class, &inner))
        return class;
    enum address_class carried = outer_class(&inner);
    return carried == ADDRESS_public ? class : carried;
}

/* ---- the operator's list ---- */

static bool listed(const struct address_policy *policy, const struct address *address)
{
    for (size_t i = 0; i < policy->count; i++)
        if (policy->allowed[i].base.len == address->len &&
            within(address->bytes, policy->allowed[i].base.bytes, policy->allowed[i].bits))
            return true;
    return false;
}

/* A mapped address is the IPv4 address by another name; any other wrapping must be listed itself,
 * and what it carries must be let through as well. */
bool address_permitted(const struct address_policy *policy, const struct address *address)
{
    struct address inner;
    if (address->len != 4 && address->len != 16)
        return false;
    enum address_class class = outer_class(address);
    if (class == ADDRESS_public)
        return true;
    if (!unwrap(address, class, &inner))
        return listed(policy, address);
    if (class == ADDRESS_mapped)
        return listed(policy, &inner);
    return listed(policy, address) &&
           (outer_class(&inner) == ADDRESS_public || listed(policy, &inner));
}

static int parse_network(struct span text, struct address_network *out, struct err *err)
{
    const char *slash = memchr(text.data, '/', text.len);
    size_t head = slash ? (size_t)(slash - (const char *)text.data) : text.len;
    uint64_t bits = 0;
    int shown = text.len > 60 ? 60 : (int)text.len;
    if (!slash || address_parse(span_of(text.data, head), &out->base) ||
        span_u64(span_of(slash + 1, text.len - head - 1), &bits) || bits > out->base.len * 8U)
        return err_set(err, ERR_CONFIG,
                       "'%.*s' is no network: write address/bits, like 10.1.0.0/16 or fd00::/8",
                       shown, (const char *)text.data);
    out->bits = (uint8_t)bits;
    for (unsigned i = 0; i < out->base.len * 8U; i++)
        if (i >= bits && out->base.bytes[i / 8] >> (7 - i % 8) & 1)
            return err_set(err, ERR_CONFIG, "'%.*s' has bits set after its first %u", shown,
                           (const char *)text.data, out->bits);
    return 0;
}

int address_policy_parse(const char *text, struct address_policy *out, struct err *err)
{
    *out = (struct address_policy){.count = 0};
    while (*text) {
        size_t skip = strspn(text, ", "), len = strcspn(text + skip, ", ");
        if (len > 0 && out->count == ADDRESS_NETWORKS_MAX)
            return err_set(err, ERR_CONFIG, "more than %d networks", ADDRESS_NETWORKS_MAX);
        if (len > 0 && parse_network(span_of(text + skip, len), &out->allowed[out->count++], err))
            return -1;
        text += skip + len;
    }
    return 0;
}
