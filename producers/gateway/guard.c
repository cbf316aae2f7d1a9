/* The request-smuggling guard (guard.h). Pure: no I/O, no allocation. */
#include "producers/gateway/guard.h"
#include <ctype.h>
#include <strings.h>

static bool named(struct span name, const char *wanted)
{
    return name.len == strlen(wanted) && strncasecmp(name.data, wanted, name.len) == 0;
}

static bool refuse(struct head *head, int status, const char *reason)
{
    if (!head->status) {
        head->status = status;
        head->reason = reason;
    }
    return false;
}

static bool is_token(struct span text)
{
    const char *at = text.data;
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum((unsigned char)at[i]) && !memchr("!#$%&'*+-.^_`|~", at[i], 15))
            return false;
    return text.len > 0;
}

/* Visible characters, spaces, tabs and bytes above 127. */
static bool is_value(struct span text)
{
    const unsigned char *at = text.data;
    for (size_t i = 0; i < text.len; i++)
        if ((at[i] < 0x20 && at[i] != '\t') || at[i] == 0x7f)
            return false;
    return true;
}

static bool once(struct head *head, struct span *slot, struct span value, const char *reason)
{
    if (slot->data)
        return refuse(head, 400, reason);
    *slot = value;
    return true;
}

static bool contains(struct span text, const char *part)
{
    size_t len = strlen(part);
    for (size_t i = 0; i + len <= text.len; i++)
        if (strncasecmp((const char *)text.data + i, part, len) == 0)
            return true;
    return false;
}

static bool framing_header(struct head *head, struct span name, struct span value, bool *known)
{
    *known = true;
    if (named(name, "Content-Length")) {
        if (head->has_length)
            return refuse(head, 400, "Content-Length is given more than once");
        head->has_length = true;
        if (span_u64(value, &head->length) != 0)
            return refuse(head, 400, "Content-Length is not a decimal number");
        return true;
    }
    if (named(name, "Transfer-Encoding")) {
        if (head->chunked)
            return refuse(head, 400, "Transfer-Encoding is given more than once");
        head->chunked = true;
        if (!named(value, "chunked"))
            return refuse(head, 400, "Transfer-Encoding must be exactly chunked");
        return true;
    }
    if (named(name, "Host")) {
        if (++head->hosts > 1)
            return refuse(head, 400, "Host is given more than once");
        return true;
    }
    *known = false;
    return true;
}

bool guard_header(struct head *head, struct span name, struct span value)
{
    head->bytes += name.len + value.len + 4;
    if (++head->count > HEAD_HEADERS_MAX || head->bytes > HEAD_BYTES_MAX)
        return refuse(head, 431, "too many or too large headers");
    if (!is_token(name))
        return refuse(head, 400, "a header's name has a character that no name may have");
    if (!is_value(value))
        return refuse(head, 400, "a header's value has a control character");
    bool known;
    if (!framing_header(head, name, value, &known))
        return false;
    if (known)
        return true;
    if (named(name, "X-API-Key"))
        return once(head, &head->api_key, value, "X-API-Key is given more than once");
    if (named(name, "Authorization"))
        return once(head, &head->authorization, value, "Authorization is given more than once");
    if (named(name, "Idempotency-Key")) {
        head->has_idempotency_key = true;
        return once(head, &head->idempotency_key, value, "Idempotency-Key is given more than once");
    }
    if (named(name, "Content-Type"))
        return once(head, &head->content_type, value, "Content-Type is given more than once");
    if (named(name, "Content-Encoding"))
        head->encoded |= !named(value, "identity");
    else if (named(name, "X-Request-Id"))
        head->request_id = value;
    else if (named(name, "traceparent"))
        head->traceparent = value;
    else if (named(name, "Accept"))
        head->wants_problem |= contains(value, "application/problem+json");
    else if (named(name, "Expect"))
        head->expects_continue = named(value, "100-continue");
    else if (named(name, "Connection"))
        head->closes |= contains(value, "close");
    return true;
}

void guard_finish(struct head *head, const char *method, const char *url, const char *version)
{
    if (head->status)
        return;
    bool one_zero = strcmp(version, "HTTP/1.0") == 0;
    if (!one_zero && strcmp(version, "HTTP/1.1") != 0)
        refuse(head, 400, "the version must be HTTP/1.1 or HTTP/1.0");
    else if (head->chunked && head->has_length)
        refuse(head, 400, "Content-Length and Transfer-Encoding exclude each other");
    else if (head->chunked && one_zero)
        refuse(head, 400, "HTTP/1.0 has no Transfer-Encoding");
    else if (!one_zero && head->hosts != 1)
        refuse(head, 400, "HTTP/1.1 needs exactly one Host");
    else if (!is_token(span_text(method)))
        refuse(head, 400, "the method is not a token");
    else if (head->bytes + strlen(url) > HEAD_BYTES_MAX || strlen(url) > URL_BYTES_MAX)
        refuse(head, 431, "the request target is too long");
    else if (head->nul_in_target)
        refuse(head, 400, "the request target must not contain %00");
    else if (url[0] != '/')
        refuse(head, 400, "the request target must begin with /");
}
