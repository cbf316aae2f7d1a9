/* rustbox-post-load: N requests over kept connections with libcurl's multi interface alone: no
 * Kafka, no signatures, no judging of addresses. What the same receiver takes from it is the floor
 * that `ops/bench webhooks` compares deliver with. */
#include "lib/base/span.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const char usage[] = "Usage: rustbox-post-load URL CA-FILE REQUESTS AT-ONCE BYTES\n"
                            "Prints JSON: requests answered 2xx, requests/s, CPU per request.\n";

#define AT_ONCE_MAX 1024

static size_t swallow(char *data, size_t size, size_t count, void *owner)
{
    (void)data, (void)owner;
    return size * count;
}

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static CURL *prepare(const char *url, const char *ca_file, const char *body, size_t bytes,
                     struct curl_slist *headers)
{
    CURL *easy = curl_easy_init();

    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)bytes);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, swallow);
    return easy;
}

int main(int argc, char **argv)
{
    uint64_t numbers[3];
    struct curl_slist *headers = NULL;
    char signature[160] = "webhook-signature: v1,";
    int running = 0, left;
    unsigned long started = 0, good = 0, ended = 0;

    for (int i = 0; i < 3; i++)
        if (argc != 6 || span_u64(span_text(argv[3 + i]), &numbers[i]) < 0 || numbers[i] == 0) {
            fputs(usage, stderr);
            return 64;
        }
    unsigned long requests = numbers[0], at_once = numbers[1], bytes = numbers[2];
    char *body = calloc(1, bytes + 1);
    CURLM *multi = curl_multi_init();
    if (!body || !multi || at_once > AT_ONCE_MAX)
        return 1;
    memset(body, 'x', bytes);
    memset(signature + 22, 'A', 44);
    headers = curl_slist_append(headers, "Content-Type: application/json");
    headers = curl_slist_append(headers, "webhook-id: 00000000-0000-8000-8000-000000000000");
    headers = curl_slist_append(headers, "webhook-timestamp: 1700000000");
    headers = curl_slist_append(headers, signature);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)AT_ONCE_MAX);
    double begin = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (; started < at_once && started < requests; started++)
        curl_multi_add_handle(multi, prepare(argv[1], argv[2], body, bytes, headers));
    while (ended < requests) {
        CURLMsg *message;
        curl_multi_perform(multi, &running);
        while ((message = curl_multi_info_read(multi, &left))) {
            CURL *easy = message->easy_handle;
            long status = 0;
            curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
            good += message->data.result == CURLE_OK && status / 100 == 2;
            ended++;
            curl_multi_remove_handle(multi, easy);
            if (started < requests && curl_multi_add_handle(multi, easy) == CURLM_OK)
                started++;
            else
                curl_easy_cleanup(easy);
        }
        if (ended < requests)
            curl_multi_poll(multi, NULL, 0, 100, NULL);
    }
    double took = seconds(CLOCK_MONOTONIC) - begin;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"good\": %lu, \"per_second\": %.0f, \"cpu_us\": %.1f}\n", good,
           (double)requests / took, cpu / (double)requests * 1e6);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    free(body);
    return good == requests ? 0 : 1;
}
