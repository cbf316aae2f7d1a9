/* One libcurl easy handle, reset between requests so that no option of one leaks into the next. */
#include "lib/http/http.h"
#include <curl/curl.h>
#include <stdlib.h>

#define CONNECT_TIMEOUT_MS 5000L

struct http {
    CURL *curl;
    char error[CURL_ERROR_SIZE];
};

int http_open(struct http **out, struct err *err)
{
    struct http *http = calloc(1, sizeof *http);
    if (http && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        http->curl = curl_easy_init();
    if (!http || !http->curl) {
        free(http);
        return err_set(err, ERR_NO_MEMORY, "libcurl could not be started");
    }
    *out = http;
    return 0;
}

void http_close(struct http *http)
{
    if (!http)
        return;
    curl_easy_cleanup(http->curl);
    free(http);
}

static size_t on_body(char *data, size_t size, size_t count, void *owner)
{
    struct buf *body = owner;
    buf_add(body, data, size * count);
    return body->failed ? 0 : size * count;
}

static void slist_auto(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

static int set_options(struct http *http, const struct http_request *request,
                       struct http_answer *answer, struct curl_slist *headers, struct err *err)
{
    CURL *curl = http->curl;
    CURLcode bad = CURLE_OK;
#define SET(option, value) bad = bad ? bad : curl_easy_setopt(curl, option, value)
    SET(CURLOPT_ERRORBUFFER, http->error);
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_CUSTOMREQUEST, request->method);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, &answer->body);
    SET(CURLOPT_USERAGENT, "rustbox/" RUSTBOX_VERSION);
    if (request->body.data) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        SET(CURLOPT_POSTFIELDS, request->body.data);
    }
#undef SET
    return bad ? err_set(err, ERR_BUG, "libcurl: %s", curl_easy_strerror(bad)) : 0;
}

int http_send(struct http *http, const struct http_request *request, struct http_answer *answer,
              struct err *err)
{
    __attribute__((cleanup(slist_auto))) struct curl_slist *headers = NULL;
    for (size_t i = 0; request->headers && request->headers[i]; i++) {
        struct curl_slist *longer = curl_slist_append(headers, request->headers[i]);
        if (!longer)
            return err_set(err, ERR_NO_MEMORY, "request headers");
        headers = longer;
    }
    buf_clear(&answer->body);
    http->error[0] = '\0';
    curl_easy_reset(http->curl);
    if (set_options(http, request, answer, headers, err))
        return -1;
    CURLcode code = curl_easy_perform(http->curl);
    if (code != CURLE_OK && !answer->body.failed)
        return err_set(err, ERR_BUSY, "%s",
                       http->error[0] ? http->error : curl_easy_strerror(code));
    long status = 0;
    curl_off_t retry = 0;
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(http->curl, CURLINFO_RETRY_AFTER, &retry);
    answer->status = (int)status;
    answer->retry_after_s = retry > 0 && retry < 86400 ? (int)retry : 0;
    return 0;
}
