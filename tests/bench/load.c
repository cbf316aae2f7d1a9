/* rustbox-load: a bounded HTTP load for benches and fault runs, on libcurl's multi interface.
 *
 * Owns the clients and their statistics; prints one JSON object; writes every id it was told to a
 * file, so that another program can reconcile them. It stops by itself: after --requests, or
 * --deadline. It only talks to loopback addresses. */
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PROGRAMS_MAX 32
#define CLIENTS_MAX 2048

/* Times in a result: three in evidence.queue, two of the result itself. */
#define TIMES 5
#define QUEUE_TIMES 3
#define DIGITS 16
#define COMMENT_BYTES 32
static const char *const time_names[TIMES] = {"received", "admitted", "dequeued", "started_at",
                                              "completed_at"};

struct options {
    const char *api, *key, *ids_path;
    int clients, deadline_s;
    long requests;
    bool wait, keyed, retry, unique;
    double rate;
    const char *specs[PROGRAMS_MAX];
    char *bodies[PROGRAMS_MAX];
    size_t programs, spec_count;
};

struct client {
    CURL *curl;
    struct curl_slist *headers;
    char *answer, *body;
    size_t answer_len, answer_cap;
    long number; /* of the request in flight */
    int64_t started_ns;
    int tries;
};

struct totals {
    long sent, done, failed, status[600];
    double *latency_ms;
    cJSON *verdicts;
    FILE *ids;
};

static int64_t now_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static size_t on_body(char *data, size_t size, size_t count, void *opaque)
{
    struct client *client = opaque;
    size_t len = size * count;
    if (client->answer_len + len + 1 > client->answer_cap) {
        size_t cap = (client->answer_len + len + 1) * 2;
        char *grown = cap > 8 * 1024 * 1024 ? NULL : realloc(client->answer, cap);
        if (!grown)
            return 0;
        client->answer = grown;
        client->answer_cap = cap;
    }
    memcpy(client->answer + client->answer_len, data, len);
    client->answer_len += len;
    client->answer[client->answer_len] = 0;
    return len;
}

static int add_program(struct options *opt, const char *spec)
{
    const char *colon = strchr(spec, ':');
    if (!colon) {
        fprintf(stderr, "rustbox-load: --program takes LANGUAGE:FILE\n");
        return -1;
    }
    FILE *file = fopen(colon + 1, "rb");
    if (!file) {
        fprintf(stderr, "rustbox-load: --program %s: %s\n", colon + 1, strerror(errno));
        return -1;
    }
    char code[65537];
    size_t len = fread(code, 1, sizeof(code) - 1 - COMMENT_BYTES, file);
    fclose(file);
    code[len] = 0;
    if (opt->unique) /* its digits are filled in for each request */
        snprintf(code + len, COMMENT_BYTES, "\n%s%0*d", strncmp(spec, "py", 2) ? "//" : "#", DIGITS,
                 0);
    char language[32];
    snprintf(language, sizeof(language), "%.*s", (int)(colon - spec), spec);
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "language", language);
    cJSON_AddStringToObject(body, "code", code);
    opt->bodies[opt->programs++] = cJSON_PrintUnformatted(body);
    cJSON_Delete(body);
    return 0;
}

static void start(CURLM *multi, struct client *client, const struct options *opt, long number)
{
    char *body = opt->bodies[(size_t)number % opt->programs];
    if (opt->unique) {
        free(client->body);
        body = client->body = strdup(body);
        char digits[DIGITS + 1];
        snprintf(digits, sizeof digits, "%08lu%08lu", (unsigned long)getpid() % 100000000,
                 (unsigned long)number % 100000000);
        memcpy(body + strlen(body) - 2 - DIGITS, digits, DIGITS); /* 2: the end of the JSON */
    }
    client->number = number;
    client->answer_len = 0;
    curl_slist_free_all(client->headers);
    char line[256];
    snprintf(line, sizeof(line), "X-API-Key: %s", opt->key);
    client->headers = curl_slist_append(NULL, line);
    client->headers = curl_slist_append(client->headers, "Content-Type: application/json");
    client->headers = curl_slist_append(client->headers, "Expect:");
    if (opt->keyed) {
        snprintf(line, sizeof(line), "Idempotency-Key: load-%ld-%ld", (long)getpid(), number);
        client->headers = curl_slist_append(client->headers, line);
    }
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, body);
    client->started_ns = now_ns(CLOCK_REALTIME);
    curl_multi_add_handle(multi, client->curl);
}

/* RFC 3339 in UTC with microseconds, as the API writes it; 0 when it is anything else. */
static int64_t member_ns(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    struct tm tm = {0};
    const char *rest =
        cJSON_IsString(item) ? strptime(item->valuestring, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    if (!rest || *rest != '.')
        return 0;
    return (int64_t)timegm(&tm) * 1000000000 + strtoll(rest + 1, NULL, 10) * 1000;
}

/* The way of one submission in nanoseconds since 1970, comma-separated; 0 for a time not told. */
static void print_times(FILE *to, const cJSON *body, int64_t answered_ns)
{
    const cJSON *evidence = cJSON_GetObjectItemCaseSensitive(body, "evidence");
    const cJSON *queue = cJSON_GetObjectItemCaseSensitive(evidence, "queue");
    for (int i = 0; i < TIMES; i++)
        fprintf(to, "%" PRId64 ",", member_ns(i < QUEUE_TIMES ? queue : body, time_names[i]));
    fprintf(to, "%" PRId64, answered_ns);
}

static bool finish(struct totals *totals, struct client *client, const struct options *opt,
                   CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    if ((code != CURLE_OK || status == 503) && opt->retry && client->tries < 600)
        return false;
    int64_t ended = now_ns(CLOCK_REALTIME);
    totals->latency_ms[totals->done++] = (double)(ended - client->started_ns) / 1e6;
    if (code != CURLE_OK) {
        totals->failed++;
        return true;
    }
    totals->status[status < 600 ? status : 599]++;
    cJSON *body = cJSON_Parse(client->answer_len ? client->answer : "{}");
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(body, "id");
    const cJSON *verdict = cJSON_GetObjectItemCaseSensitive(body, "verdict");
    const char *name = cJSON_IsString(verdict) ? verdict->valuestring : "";
    if (*name) {
        cJSON *old = cJSON_GetObjectItemCaseSensitive(totals->verdicts, name);
        if (old)
            cJSON_SetNumberValue(old, old->valuedouble + 1);
        else
            cJSON_AddNumberToObject(totals->verdicts, name, 1);
    }
    if (totals->ids && cJSON_IsString(id)) {
        fprintf(totals->ids, "%ld\t%s\t%s\t%ld\t", status, id->valuestring, name, client->number);
        print_times(totals->ids, body, ended);
        fputc('\n', totals->ids);
    }
    cJSON_Delete(body);
    return true;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double quantile(const double *sorted, long count, double q)
{
    return count ? sorted[(long)(q * (double)(count - 1) + 0.5)] : 0;
}

static void add_quantiles(cJSON *to, const char *name, double *values, long count)
{
    qsort(values, (size_t)count, sizeof(*values), by_value);
    cJSON *at = cJSON_AddObjectToObject(to, name);
    cJSON_AddNumberToObject(at, "p50", quantile(values, count, 0.50));
    cJSON_AddNumberToObject(at, "p95", quantile(values, count, 0.95));
    cJSON_AddNumberToObject(at, "p99", quantile(values, count, 0.99));
    cJSON_AddNumberToObject(at, "max", quantile(values, count, 1));
}

static void report(struct totals *totals, double seconds)
{
    cJSON *out = cJSON_CreateObject();
    cJSON_AddNumberToObject(out, "requests", (double)totals->done);
    cJSON_AddNumberToObject(out, "network_errors", (double)totals->failed);
    cJSON_AddNumberToObject(out, "seconds", seconds);
    cJSON_AddNumberToObject(out, "per_second", seconds > 0 ? (double)totals->done / seconds : 0);
    cJSON *status = cJSON_AddObjectToObject(out, "status");
    for (int i = 0; i < 600; i++) {
        char name[8];
        snprintf(name, sizeof(name), "%d", i);
        if (totals->status[i])
            cJSON_AddNumberToObject(status, name, (double)totals->status[i]);
    }
    cJSON_AddItemToObject(out, "verdicts", totals->verdicts);
    add_quantiles(out, "latency_ms", totals->latency_ms, totals->done);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    cJSON_AddNumberToObject(out, "client_cpu_s",
                            (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
                                (double)usage.ru_stime.tv_sec +
                                (double)usage.ru_stime.tv_usec / 1e6);
    char *text = cJSON_Print(out);
    puts(text);
    free(text);
    cJSON_Delete(out);
}

static void run(const struct options *opt, struct totals *totals)
{
    CURLM *multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)opt->clients);
    struct client *clients = calloc((size_t)opt->clients, sizeof(*clients));
    struct client **idle = calloc((size_t)opt->clients, sizeof(struct client *));
    int idle_count = 0;
    char url[512];
    snprintf(url, sizeof(url), "%s/api/submit?wait=%s", opt->api, opt->wait ? "true" : "false");
    for (int i = 0; i < opt->clients; i++) {
        struct client *client = &clients[i];
        client->curl = curl_easy_init();
        curl_easy_setopt(client->curl, CURLOPT_URL, url);
        curl_easy_setopt(client->curl, CURLOPT_PRIVATE, client);
        curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, client);
        curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(client->curl, CURLOPT_PROXY, "");
        curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, 60000L);
        idle[idle_count++] = client;
    }
    int64_t begin = now_ns(CLOCK_MONOTONIC), end = begin + (int64_t)opt->deadline_s * 1000000000;
    while (totals->done < opt->requests && now_ns(CLOCK_MONOTONIC) < end) {
        double elapsed = (double)(now_ns(CLOCK_MONOTONIC) - begin) / 1e9;
        while (idle_count && totals->sent < opt->requests &&
               (opt->rate <= 0 || (double)totals->sent < elapsed * opt->rate)) {
            struct client *client = idle[--idle_count];
            client->tries = 0;
            start(multi, client, opt, totals->sent++);
        }
        int running, left;
        curl_multi_perform(multi, &running);
        for (CURLMsg *msg; (msg = curl_multi_info_read(multi, &left));) {
            struct client *client;
            curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &client);
            CURLcode code = msg->data.result;
            curl_multi_remove_handle(multi, client->curl);
            if (finish(totals, client, opt, code)) {
                idle[idle_count++] = client;
            } else {
                client->tries++;
                int64_t first = client->started_ns;
                nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
                start(multi, client, opt, client->number);
                client->started_ns = first;
            }
        }
        if (!idle_count || totals->sent == opt->requests || opt->rate > 0)
            curl_multi_poll(multi, NULL, 0, opt->rate > 0 ? 2 : 100, NULL);
    }
    report(totals, (double)(now_ns(CLOCK_MONOTONIC) - begin) / 1e9);
    for (int i = 0; i < opt->clients; i++) {
        curl_multi_remove_handle(multi, clients[i].curl);
        curl_easy_cleanup(clients[i].curl);
        curl_slist_free_all(clients[i].headers);
        free(clients[i].answer);
        free(clients[i].body);
    }
    curl_multi_cleanup(multi);
    free(idle);
    free(clients);
}

static const char usage[] =
    "usage: rustbox-load [options] --program LANGUAGE:FILE ...\n"
    "Submits programs and prints one JSON object: counts by status and verdict, latencies.\n"
    "  --api URL        loopback only; default $RUSTBOX_API\n"
    "  --key KEY        default $RUSTBOX_KEY\n"
    "  --clients N      requests in flight (default 1, at most 2048)\n"
    "  --requests N     how many in all (default 100)\n"
    "  --rate R         at most R new requests a second (default: as fast as answers come)\n"
    "  --wait           ?wait=true: latency to the verdict\n"
    "  --keyed          a fresh Idempotency-Key for each request\n"
    "  --retry          repeat after 503 and network errors (use with --keyed)\n"
    "  --unique         a comment in each program that makes it another one (no compile is "
    "cached)\n"
    "  --ids FILE       a line for every answer that named an id: status, id, verdict, request\n"
    "                   number, and its times (ns since 1970, 0 = not told): received, admitted,\n"
    "                   dequeued, started, ended, answered\n"
    "  --deadline S     stop after S seconds (default 120)\n"
    "Exit status: 0 when all requests were answered, 1 when some were not, 2 for a wrong call.\n";

int main(int argc, char **argv)
{
    struct options opt = {.api = getenv("RUSTBOX_API"),
                          .key = getenv("RUSTBOX_KEY"),
                          .clients = 1,
                          .requests = 100,
                          .deadline_s = 120};
    static const struct option longs[] = {{"api", 1, 0, 'a'},      {"key", 1, 0, 'k'},
                                          {"clients", 1, 0, 'c'},  {"requests", 1, 0, 'n'},
                                          {"rate", 1, 0, 'r'},     {"wait", 0, 0, 'w'},
                                          {"keyed", 0, 0, 'i'},    {"retry", 0, 0, 'y'},
                                          {"unique", 0, 0, 'u'},   {"ids", 1, 0, 'o'},
                                          {"deadline", 1, 0, 'd'}, {"program", 1, 0, 'p'},
                                          {"help", 0, 0, 'h'},     {0}};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 'a':
            opt.api = optarg;
            break;
        case 'k':
            opt.key = optarg;
            break;
        case 'c':
            opt.clients = (int)strtol(optarg, NULL, 10);
            break;
        case 'n':
            opt.requests = strtol(optarg, NULL, 10);
            break;
        case 'r':
            opt.rate = strtod(optarg, NULL);
            break;
        case 'w':
            opt.wait = true;
            break;
        case 'i':
            opt.keyed = true;
            break;
        case 'y':
            opt.retry = true;
            break;
        case 'u':
            opt.unique = true;
            break;
        case 'o':
            opt.ids_path = optarg;
            break;
        case 'd':
            opt.deadline_s = (int)strtol(optarg, NULL, 10);
            break;
        case 'p':
            if (opt.spec_count == PROGRAMS_MAX)
                return fprintf(stderr, "rustbox-load: at most %d programs\n", PROGRAMS_MAX), 2;
            opt.specs[opt.spec_count++] = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    for (size_t i = 0; i < opt.spec_count; i++)
        if (add_program(&opt, opt.specs[i]))
            return 2;
    if (!opt.api || !opt.key || !opt.programs || opt.clients < 1 || opt.clients > CLIENTS_MAX ||
        opt.requests < 1 || opt.requests > 10000000) {
        fputs(usage, stderr);
        return 2;
    }
    if (strncmp(opt.api, "http://127.", 11) && strncmp(opt.api, "http://localhost", 16) &&
        strncmp(opt.api, "http://[::1]", 12)) {
        fprintf(stderr,
                "rustbox-load: %s is not a loopback address; this tool loads nothing else\n",
                opt.api);
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct totals totals = {.verdicts = cJSON_CreateObject()};
    totals.latency_ms = calloc((size_t)opt.requests, sizeof(double));
    if (opt.ids_path && !(totals.ids = fopen(opt.ids_path, "we"))) {
        fprintf(stderr, "rustbox-load: --ids %s: %s\n", opt.ids_path, strerror(errno));
        return 2;
    }
    run(&opt, &totals);
    bool complete = totals.done == opt.requests && !totals.failed;
    if (totals.ids && fclose(totals.ids))
        complete = false;
    free(totals.latency_ms);
    for (size_t i = 0; i < opt.programs; i++)
        free(opt.bodies[i]);
    curl_global_cleanup();
    return complete ? 0 : 1;
}
