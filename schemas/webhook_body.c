/* The HTTP body of a webhook (webhook.h): rendered once, at most WEBHOOK_BODY_MAX bytes. */
#include "lib/base/clock.h"
#include "schemas/result.h"
#include "schemas/webhook.h"

#define HEAD_MAX 160 /* bytes around data */

static void put_head(enum webhook_event event, int64_t at_ns, struct buf *out)
{
    char at[RFC3339_TEXT];
    rfc3339_format(at_ns, at);
    buf_printf(out, "{\"type\":\"%s\",\"timestamp\":\"%s\",\"data\":", webhook_event_name(event),
               at);
}

int webhook_body_result(enum webhook_event event, struct span payload, const struct uuid *id_shown,
                        bool bare, struct buf *out, struct err *err)
{
    int64_t completed_ns = 0;
    if (bare)
        return result_body_cut(payload, id_shown, WEBHOOK_BODY_MAX, &completed_ns, out, err);
    struct buf data = {.max = WEBHOOK_BODY_MAX};
    int rc =
        result_body_cut(payload, id_shown, WEBHOOK_BODY_MAX - HEAD_MAX, &completed_ns, &data, err);
    if (!rc) {
        put_head(event, completed_ns, out);
        buf_add(out, data.data, data.len);
        buf_puts(out, "}");
    }
    wipe_buf(&data);
    return rc || !out->failed ? rc : err_set(err, ERR_NO_MEMORY, "webhook body");
}

int webhook_body_data(enum webhook_event event, int64_t at_ns, struct span data, struct buf *out,
                      struct err *err)
{
    put_head(event, at_ns, out);
    buf_add(out, data.data, data.len);
    buf_puts(out, "}");
    return out->failed ? err_set(err, ERR_NO_MEMORY, "webhook body") : 0;
}
