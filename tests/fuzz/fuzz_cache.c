/* cache_key and the index: requests made of the input, and a sequence of what the launcher does
 * with entries. Two keys are the same only where every part is; no bound is ever passed, no project
 * finds another's entry. Also the look-ups by name of the tables. */
#include "sandbox/cache_rules.h"
#include "sandbox/sum.h"
#include "schemas/verdict_rules.h"
#include "tests/fuzz/fuzz.h"

#define ENTRIES 8
#define BYTES 4096
#define SOURCES 3

struct reader {
    const uint8_t *at;
    size_t left;
};

static uint8_t next(struct reader *in)
{
    return in->left ? (in->left--, *in->at++) : 0;
}

static struct span some(struct reader *in)
{
    size_t len = next(in) % 24;
    len = len < in->left ? len : in->left;
    struct span text = span_of(in->at, len);
    in->at += len;
    in->left -= len;
    return text;
}

struct parts {
    struct cache_request request;
    struct limits limits;
    char names[SOURCES][24];
    struct cache_source sources[SOURCES];
};

static void read_parts(struct reader *in, struct parts *out)
{
    *out = (struct parts){.limits.memory_bytes = next(in)};
    out->request = (struct cache_request){.language = next(in) % LANGUAGE_COUNT,
                                          .limits = &out->limits,
                                          .toolchain = some(in),
                                          .sources = out->sources,
                                          .source_count = next(in) % (SOURCES + 1)};
    for (size_t i = 0; i < out->request.source_count; i++) {
        struct span name = some(in);
        const char *text = name.data;
        for (size_t k = 0; k < name.len; k++)
            out->names[i][k] = text[k] ? text[k] : 'x';
        out->sources[i] = (struct cache_source){out->names[i], some(in)};
    }
}

static bool same_parts(const struct parts *a, const struct parts *b)
{
    bool same = a->limits.memory_bytes == b->limits.memory_bytes &&
                a->request.language == b->request.language &&
                span_eq(a->request.toolchain, b->request.toolchain) &&
                a->request.source_count == b->request.source_count;
    for (size_t i = 0; same && i < a->request.source_count; i++)
        same = strcmp(a->names[i], b->names[i]) == 0 &&
               span_eq(a->sources[i].bytes, b->sources[i].bytes);
    return same;
}

static void keys(struct reader in)
{
    static struct parts first, second;
    BUF_AUTO struct buf a = {.max = 8192}, b = {.max = 8192};
    read_parts(&in, &first);
    read_parts(&in, &second);
    cache_key(&first.request, &a);
    cache_key(&second.request, &b);
    CHECK(!a.failed && !b.failed);
    CHECK(span_eq(buf_span(&a), buf_span(&b)) == same_parts(&first, &second));
    for (size_t i = 0; i < first.request.source_count; i++)
        if (first.request.language == LANGUAGE_c &&
            memmem(first.sources[i].bytes.data, first.sources[i].bytes.len, "__TIMESTAMP__", 13))
            CHECK(!cache_timeless(&first.request));
}

static void check_index(const struct cache_index *index)
{
    uint64_t bytes = 0;
    CHECK(index->count <= index->max_count);
    for (size_t i = 0; i < index->count; i++) {
        uint64_t own = 0, count = 0;
        bytes += index->entries[i].bytes;
        for (size_t k = 0; k < index->count; k++)
            if (uuid_eq(&index->entries[i].project, &index->entries[k].project)) {
                own += index->entries[k].bytes;
                count++;
            }
        CHECK(own <= index->max_bytes / CACHE_SHARE && count <= index->max_project_entries);
    }
    CHECK(bytes == index->bytes && bytes <= index->max_bytes);
}

static void add(struct cache_index *index, const struct uuid *project, struct span key,
                uint64_t bytes)
{
    struct cache_entry *victim;
    if (!cache_worth(index, bytes) || cache_find(index, project, key))
        return;
    while ((victim = cache_victim(index, project, bytes)))
        free(cache_remove(index, victim).text);
    struct cache_entry entry = {.project = *project,
                                .hash = sum_add(SUM_START, key.data, key.len),
                                .text = malloc(key.len + 1),
                                .text_len = key.len,
                                .bytes = bytes};
    CHECK(entry.text);
    memcpy(entry.text, key.data, key.len);
    cache_add(index, &entry);
}

static void sequence(struct reader in)
{
    struct cache_entry entries[ENTRIES];
    struct cache_index index = {
        .entries = entries, .max_count = ENTRIES, .max_bytes = BYTES, .max_project_entries = 3};
    while (in.left > 0) {
        uint8_t what = next(&in);
        struct uuid project = {{(uint8_t)(what >> 5)}};
        struct span key = some(&in);
        if (what & 1)
            add(&index, &project, key, (uint64_t)next(&in) * 8);
        struct cache_entry *found = cache_find(&index, &project, key);
        CHECK(!found || (uuid_eq(&found->project, &project) &&
                         span_eq(span_of(found->text, found->text_len), key)));
        if ((what & 6) == 6 && found)
            free(cache_remove(&index, found).text);
        check_index(&index);
    }
    while (index.count > 0)
        free(cache_remove(&index, cache_oldest(&index)).text);
    CHECK(index.bytes == 0);
}

static void tables(struct span text)
{
    enum language language;
    enum profile profile;
    enum verdict verdict;
    enum cause cause;
    enum language again;
    if (language_find(text, &language) == 0) /* by a name or one of its short forms */
        CHECK(language_find(span_text(language_name(language)), &again) == 0 && again == language);
    if (profile_find(text, &profile) == 0)
        CHECK(span_is(text, profile_name(profile)));
    if (verdict_find(text, &verdict) == 0)
        CHECK(span_is(text, verdict_name(verdict)));
    if (cause_find(text, &cause) == 0)
        CHECK(span_is(text, cause_name(cause)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = {data, size};
    keys(in);
    sequence(in);
    tables(span_of(data, size));
    return 0;
}
