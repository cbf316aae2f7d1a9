/* webhook_url_check against the parser that will use the URL: what is accepted leads, as libcurl
 * reads it, over https to a permitted port, without credentials, and to no denied address in any
 * spelling. */
#include "lib/base/address.h"
#include "schemas/webhook_url.h"
#include "tests/fuzz/fuzz.h"
#include <curl/curl.h>

static void check_host(CURLU *url)
{
    static const struct address_policy none;
    struct address address;
    char *host = NULL;
    CHECK(curl_url_get(url, CURLUPART_HOST, &host, CURLU_PUNYCODE) == CURLUE_OK);
    size_t len = strlen(host), skip = host[0] == '[';
    CHECK(len > 2 * skip);
    if (address_parse(span_of(host + skip, len - 2 * skip), &address) == 0)
        CHECK(address_permitted(&none, &address));
    CHECK(strcasecmp(host, "localhost") != 0);
    curl_free(host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct webhook_url_policy policy;
    static bool ready;
    struct err err = {.code = ERR_NONE};
    char *part = NULL;
    if (!ready)
        CHECK(webhook_url_policy("https", "443,8443", "", &policy, &err) == 0);
    ready = true;
    if (webhook_url_check(&policy, span_of(data, size), &err)) {
        check_error(&err);
        return 0;
    }
    CHECK(size <= 2048 && !memchr(data, '\0', size) && !memchr(data, '#', size));
    char text[2049];
    memcpy(text, data, size);
    text[size] = '\0';
    for (size_t i = 0; i < size; i++)
        CHECK(data[i] > ' ' && data[i] < 0x7f);
    CURLU *url = curl_url();
    CHECK(url && curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER) == CURLUE_OK);
    CHECK(curl_url_get(url, CURLUPART_SCHEME, &part, 0) == CURLUE_OK && strcmp(part, "https") == 0);
    curl_free(part);
    CHECK(curl_url_get(url, CURLUPART_PORT, &part, CURLU_DEFAULT_PORT) == CURLUE_OK &&
          (strcmp(part, "443") == 0 || strcmp(part, "8443") == 0));
    curl_free(part);
    CHECK(curl_url_get(url, CURLUPART_USER, &part, 0) != CURLUE_OK);
    check_host(url);
    curl_url_cleanup(url);
    return 0;
}
