/* The HTTP API as the verbs use it: key, retries, JSON answers, waiting for a verdict. */
#include "lib/http/http.h"
#include "producers/cli/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ANSWER_BYTES_MAX (16 * 1024 * 1024)
#define REQUEST_TIMEOUT_MS 60000 /* above the API's own wait of 30 s */
#define KEY_HEADER_MAX 1100
#define ATTEMPTS 6
#define POLL_FIRST_MS 100
#define POLL_LAST_MS 2000
#define RETRY_AFTER_MAX_S 60 /* who is told to come back later than that is told so at once */

struct api {
    struct http *http;
    char url[512], key_header[256];
};

int api_open(const struct args *args, struct api **out, struct err *err)
{
    const char *base = args->api && args->api[0] ? args->api : "http://127.0.0.1:4096";
    size_t len = strlen(base);
    if (!args->key || !args->key[0])
        return err_set(
            err, ERR_CONFIG,
            "no API key: set RUSTBOX_KEY (`set -a; . var/dev.env; set +a` after ops/up) or "
            "give --key; `rustbox admin key create` makes one");
    while (len > 0 && base[len - 1] == '/')
        len--;
    struct api *api = calloc(1, sizeof *api);
    if (!api)
        return err_set(err, ERR_NO_MEMORY, "api client");
    if (len >= sizeof api->url || strlen(args->key) >= sizeof api->key_header - 16 ||
        strpbrk(args->key, "\r\n")) {
        free(api);
        return err_set(err, ERR_CONFIG, "--api or --key is too long, or the key has line breaks");
    }
    memcpy(api->url, base, len);
    snprintf(api->key_header, sizeof api->key_header, "X-API-Key: %s", args->key);
    if (http_open(&api->http, err)) {
        free(api);
        return -1;
    }
    *out = api;
    return 0;
}

void api_close(struct api *api)
{
    if (!api)
        return;
    http_close(api->http);
    free(api);
}

void cli_sleep_ms(int64_t ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

int64_t cli_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Repeats what failed before anything was accepted; a POST only under its Idempotency-Key. */
static int send_again(struct api *api, const struct http_request *request, bool repeatable,
                      struct http_answer *answer, struct err *err)
{
    int64_t pause = 200;
    for (int attempt = 1;; attempt++, pause *= 2) {
        int failed = http_send(api->http, request, answer, err);
        bool later = failed ? err->code == ERR_BUSY
                            : (answer->status == 429 || answer->status == 503) &&
                                  answer->retry_after_s <= RETRY_AFTER_MAX_S;
        if (!later || !repeatable || attempt == ATTEMPTS)
            return failed ? err_wrap(err,
                                     "%s (is the service running? ops/status; --api or RUSTBOX_API "
                                     "chooses another)",
                                     api->url)
                          : 0;
        cli_sleep_ms(!failed && answer->retry_after_s > 0 ? answer->retry_after_s * 1000 : pause);
    }
}

int api_call(struct api *api, const char *method, const char *path, struct span body,
             const char *key, int *status, json_t **json, struct err *err)
{
    char url[1024], idempotency[KEY_HEADER_MAX];
    const char *headers[5] = {api->key_header, "Accept: application/json"};
    size_t count = 2;
    json_error_t error;
    if ((size_t)snprintf(url, sizeof url, "%s%s", api->url, path) >= sizeof url)
        return err_set(err, ERR_CONFIG, "the address is too long");
    if (body.data)
        headers[count++] = "Content-Type: application/json";
    if (key) {
        if ((size_t)snprintf(idempotency, sizeof idempotency, "Idempotency-Key: %s", key) >=
                sizeof idempotency ||
            strpbrk(key, "\r\n"))
            return err_set(err, ERR_CONFIG, "the idempotency key must be 1 to 255 characters");
        headers[count++] = idempotency;
    }
    struct http_request request = {method, url, headers, body, REQUEST_TIMEOUT_MS};
    struct http_answer answer = {.body = {.max = ANSWER_BYTES_MAX}};
    int failed = send_again(api, &request, key || !body.data, &answer, err);
    if (!failed && answer.body.failed)
        failed =
            err_set(err, ERR_TOO_LARGE, "the answer is larger than %d bytes", ANSWER_BYTES_MAX);
    if (!failed) {
        *status = answer.status;
        *json = answer.body.len > 0 ? json_loadb(answer.body.data, answer.body.len,
                                                 JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error)
                                    : NULL;
        if (!*json)
            failed = err_set(err, ERR_CORRUPT,
                             "%s answered status %d without JSON: is it a Rustbox API?", api->url,
                             answer.status);
    }
    buf_done(&answer.body);
    return failed;
}

const char *json_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

int api_refused(int status, const json_t *json, struct err *err)
{
    const char *code = json_text(json, "error"), *id = json_text(json, "request_id");
    return err_set(err, ERR_DENIED, "status %d%s%s: %s%s%s%s", status, code[0] ? " " : "", code,
                   json_text(json, "message"), id[0] ? " (request " : "", id, id[0] ? ")" : "");
}

int api_await(struct api *api, const char *id, int64_t since_ms, int timeout_s, json_t **json,
              struct err *err)
{
    char path[128];
    int64_t pause = POLL_FIRST_MS, end = since_ms + (int64_t)timeout_s * 1000;
    snprintf(path, sizeof path, "/api/result/%.64s", id);
    for (;;) {
        int status;
        json_t *body;
        if (api_call(api, "GET", path, span_of(NULL, 0), NULL, &status, &body, err))
            return -1;
        if (status != 200) {
            api_refused(status, body, err);
            json_decref(body);
            return -1;
        }
        if (json_object_get(body, "verdict")) {
            *json = body;
            return 0;
        }
        json_decref(body);
        int64_t left = end - cli_now_ms();
        if (timeout_s > 0 && left <= 0)
            return err_set(err, ERR_TIMEOUT,
                           "%s has no verdict after %d s; ask later: rustbox result %s", id,
                           timeout_s, id);
        cli_sleep_ms(timeout_s > 0 && left < pause ? left : pause);
        pause = pause * 3 / 2 < POLL_LAST_MS ? pause * 3 / 2 : POLL_LAST_MS;
    }
}
