/* Which URLs an endpoint may have: pure rules, for the gateway, admit and the command line. They
 * refuse early and clearly; what binds is the check of the address at connect time, in deliver.
 * A URL is plain ASCII as it travels: an international name in its xn-- form. */
#pragma once
#include "lib/base/address.h"
#include "lib/base/err.h"

#define WEBHOOK_PORTS_MAX 32
struct webhook_url_policy {
    bool http; /* plain http as well */
    bool any_port;
    size_t port_count;
    uint16_t ports[WEBHOOK_PORTS_MAX];
    struct address_policy networks;
};

/* From [webhooks] schemes, ports, allow_networks. ERR_CONFIG names the setting and its rule. */
int webhook_url_policy(const char *schemes, const char *ports, const char *networks,
                       struct webhook_url_policy *out, struct err *err) MUST_CHECK;
/* ERR_INVALID: the message is the rule that it breaks, without the field's name, and never repeats
 * the URL. */
int webhook_url_check(const struct webhook_url_policy *policy, struct span url,
                      struct err *err) MUST_CHECK;
