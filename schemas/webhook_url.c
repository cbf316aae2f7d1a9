/* The rules of endpoints' URLs (webhook_url.h). */
#include "schemas/webhook_url.h"
#include "lib/base/strict.h"
#include "schemas/webhook.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#define HOST_MAX 253
#define LABEL_MAX 63

/* ---- the operator's part ---- */

static int read_ports(const char *text, struct webhook_url_policy *out, struct err *err)
{
    const char *rule = "webhooks.ports must be any, or up to 32 numbers of 1 to 65535 separated by "
                       "commas";
    if (strcmp(text, "any") == 0) {
        out->any_port = true;
        return 0;
    }
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, ", ");
        uint64_t port;
        if (len > 0 && (span_u64(span_of(at, len), &port) || port < 1 || port > UINT16_MAX ||
                        out->port_count == WEBHOOK_PORTS_MAX))
            return err_set(err, ERR_CONFIG, "%s", rule);
        if (len > 0)
            out->ports[out->port_count++] = (uint16_t)port;
        at += len;
        at += strspn(at, ", ");
    }
    return out->port_count > 0 ? 0 : err_set(err, ERR_CONFIG, "%s", rule);
}

int webhook_url_policy(const char *schemes, const char *ports, const char *networks,
                       struct webhook_url_policy *out, struct err *err)
{
    struct webhook_url_policy policy = {.http = false};
    if (strcmp(schemes, "http,https") == 0 || strcmp(schemes, "https,http") == 0)
        policy.http = true;
    else if (strcmp(schemes, "https") != 0)
        return err_set(err, ERR_CONFIG, "webhooks.schemes must be https or http,https");
    if (read_ports(ports, &policy, err))
        return -1;
    if (address_policy_parse(networks, &policy.networks, err))
        return err_wrap(err, "webhooks.allow_networks");
    *out = policy;
    return 0;
}

/* ---- the URL ---- */

struct url { /* pieces of the text */
    bool https;
    struct span host; /* without brackets */
    bool ipv6;
    struct span port; /* data NULL = the scheme's own */
};

static int refuse(struct err *err, const char *rule)
{
    return err_set(err, ERR_INVALID, "%s", rule);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

static int check_characters(struct span url, struct err *err)
{
    const char *text = url.data;
    if (url.len == 0 || url.len > WEBHOOK_URL_MAX)
        return err_set(err, ERR_INVALID, "must be 1 to %d bytes, got %zu", WEBHOOK_URL_MAX,
                       url.len);
    for (size_t i = 0; i < url.len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x80)
            return refuse(err, "must be ASCII: write an international name as xn--..., and "
                               "percent-encode the rest");
        if (c <= ' ' || c == 0x7f)
            return refuse(err, "must not contain spaces or control characters");
        if (strchr("\"<>\\^`{|}", c))
            return refuse(err, "has a character that must be percent-encoded");
        if (c == '#')
            return refuse(err, "must not have a fragment (#...)");
        if (c == '%' && (i + 2 >= url.len || !is_hex(text[i + 1]) || !is_hex(text[i + 2])))
            return refuse(err, "has a % that is not followed by two hexadecimal digits");
    }
    return 0;
}

static bool begins(struct span text, const char *word)
{
    size_t len = strlen(word);
    return text.len >= len && strncasecmp(text.data, word, len) == 0;
}

/* Scheme and authority; what follows is the receiver's affair. */
static int split(struct span text, struct url *out, struct err *err)
{
    *out = (struct url){.https = begins(text, "https://")};
    if (!out->https && !begins(text, "http://"))
        return refuse(err, "must begin with https://");
    const char *at = (const char *)text.data + (out->https ? 8 : 7);
    const char *end = (const char *)text.data + text.len;
    size_t len = 0;
    while (at + len < end && at[len] != '/' && at[len] != '?')
        len++;
    if (memchr(at, '@', len))
        return refuse(err, "must not contain a user name or password");
    const char *colon = memchr(at, ':', len);
    if (len > 0 && at[0] == '[') {
        const char *close = memchr(at, ']', len);
        if (!close || (close + 1 < at + len && close[1] != ':'))
            return refuse(err, "has a malformed IPv6 address");
        out->ipv6 = true;
        out->host = span_of(at + 1, (size_t)(close - at) - 1);
        colon = close + 1 < at + len ? close + 1 : NULL;
    } else {
        out->host = span_of(at, colon ? (size_t)(colon - at) : len);
    }
    if (colon)
        out->port = span_of(colon + 1, (size_t)(at + len - colon) - 1);
    return 0;
}

static int check_port(const struct webhook_url_policy *policy, const struct url *url,
                      struct err *err)
{
    uint64_t port = url->https ? 443 : 80;
    if (url->port.data && (span_u64(url->port, &port) || port < 1 || port > UINT16_MAX))
        return refuse(err, "has a port that is not a number of 1 to 65535");
    for (size_t i = 0; i < policy->port_count; i++)
        if (policy->ports[i] == port)
            return 0;
    if (policy->any_port)
        return 0;
    return err_set(err, ERR_INVALID, "has port %u, which this installation does not allow",
                   (unsigned)port);
}

static int check_address(const struct webhook_url_policy *policy, const struct address *address,
                         struct err *err)
{
    if (address_permitted(&policy->networks, address))
        return 0;
    return err_set(err, ERR_INVALID, "leads to an address that webhooks may not reach: %s",
                   address_class_text(address_class(address)));
}

static int check_labels(struct span host, size_t *labels, struct err *err)
{
    const char *text = host.data;
    *labels = 0;
    for (size_t from = 0; from <= host.len;) {
        size_t len = 0;
        for (; from + len < host.len && text[from + len] != '.'; len++) {
            char c = text[from + len];
            bool word = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
            if (!word && c != '-' && c != '_')
                return refuse(err, "has a host name with a character that names do not have");
        }
        if (len == 0 || len > LABEL_MAX || text[from] == '-' || text[from + len - 1] == '-')
            return refuse(err, "has a malformed host name: parts of 1 to 63 letters, digits and "
                               "hyphens, separated by single dots");
        from += len + 1;
        ++*labels;
    }
    return 0;
}

/* As curl and browsers read it: a name whose last part is a number is an IPv4 address, in whatever
 * base and with however few parts. */
static bool is_number_like(struct span host)
{
    const char *text = host.data;
    size_t from = host.len;
    while (from > 0 && text[from - 1] != '.')
        from--;
    struct span last = span_of(text + from, host.len - from);
    size_t digits = 0;
    if (begins(last, "0x")) {
        for (digits = 2; digits < last.len && is_hex(text[from + digits]);)
            digits++;
    } else {
        while (digits < last.len && text[from + digits] >= '0' && text[from + digits] <= '9')
            digits++;
    }
    return digits == last.len;
}

static bool is_localhost(struct span host)
{
    static const char name[] = "localhost";
    size_t len = sizeof name - 1;
    const char *text = host.data;
    return host.len >= len && strncasecmp(text + host.len - len, name, len) == 0 &&
           (host.len == len || text[host.len - len - 1] == '.');
}

static int check_name(const struct webhook_url_policy *policy, struct span host, struct err *err)
{
    static const struct address loopback = {4, {127, 0, 0, 1}};
    char text[HOST_MAX + 1];
    struct address address = {.len = 4};
    struct in_addr parsed;
    size_t labels;
    if (host.len == 0)
        return refuse(err, "has no host");
    if (host.len > HOST_MAX || span_copy(host, text, sizeof text))
        return refuse(err, "has a host name of more than 253 characters");
    if (check_labels(host, &labels, err))
        return -1;
    if (is_number_like(host)) {
        if (!inet_aton(text, &parsed))
            return refuse(err, "has a malformed IPv4 address");
        memcpy(address.bytes, &parsed, 4);
        return check_address(policy, &address, err);
    }
    if (is_localhost(host))
        return check_address(policy, &loopback, err);
    if (labels == 1 && policy->networks.count == 0)
        return refuse(err, "has a host name without a domain");
    return 0;
}

int webhook_url_check(const struct webhook_url_policy *policy, struct span text, struct err *err)
{
    struct url url;
    struct address address;
    if (check_characters(text, err) || split(text, &url, err))
        return -1;
    if (!url.https && !policy->http)
        return refuse(err, "must begin with https://");
    if (check_port(policy, &url, err))
        return -1;
    if (!url.ipv6)
        return check_name(policy, url.host, err);
    if (address_parse(url.host, &address) || address.len != 16)
        return refuse(err, "has a malformed IPv6 address");
    return check_address(policy, &address, err);
}
