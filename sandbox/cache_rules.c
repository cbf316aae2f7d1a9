/* Keys and the index behind cache_rules.h: an unordered array that is searched from its beginning.
 * With its few thousand entries that takes microseconds, and there is nothing to keep in order. */
#include "sandbox/cache_rules.h"
#include "lib/base/strict.h"
#include "sandbox/sum.h"
#include <string.h>

/* Each part with its length, so that no two lists of parts make the same text. */
static void add_part(struct buf *out, struct span part)
{
    uint64_t len = part.len;
    buf_add(out, &len, sizeof len);
    buf_add(out, part.data, part.len);
}

void cache_key(const struct cache_request *request, struct buf *out)
{
    size_t bytes = request->toolchain.len + sizeof *request->limits + 256;
    for (size_t i = 0; i < request->source_count; i++)
        bytes += request->sources[i].bytes.len + 512;
    buf_reserve(out, bytes); /* once: growing would leave copies of a source behind */
    add_part(out, span_text(language_name(request->language)));
    add_part(out, span_of(request->limits, sizeof *request->limits));
    add_part(out, request->toolchain);
    for (size_t i = 0; i < request->source_count; i++) {
        add_part(out, span_text(request->sources[i].name));
        add_part(out, request->sources[i].bytes);
    }
}

bool cache_timeless(const struct cache_request *request)
{
    static const char *const words[] = {"__TIME", "__DATE"}; /* __TIMESTAMP__ too */
    if (request->language != LANGUAGE_c && request->language != LANGUAGE_cpp)
        return true;
    for (size_t i = 0; i < request->source_count; i++) {
        struct span bytes = request->sources[i].bytes;
        for (size_t k = 0; k < COUNT_OF(words); k++)
            if (memmem(bytes.data, bytes.len, words[k], strlen(words[k])))
                return false;
    }
    return true;
}

struct cache_entry *cache_find(struct cache_index *index, const struct uuid *project,
                               struct span text)
{
    uint64_t hash = sum_add(SUM_START, text.data, text.len);
    for (size_t i = 0; i < index->count; i++) {
        struct cache_entry *entry = &index->entries[i];
        if (entry->hash != hash || !uuid_eq(&entry->project, project) ||
            !span_eq(span_of(entry->text, entry->text_len), text))
            continue;
        entry->used = ++index->uses;
        return entry;
    }
    return NULL;
}

bool cache_worth(const struct cache_index *index, uint64_t bytes)
{
    return bytes <= index->max_bytes / CACHE_SHARE;
}

struct cache_entry *cache_victim(const struct cache_index *index, const struct uuid *project,
                                 uint64_t bytes)
{
    struct cache_entry *oldest = NULL, *own = NULL;
    uint64_t own_bytes = 0, own_count = 0;
    for (size_t i = 0; i < index->count; i++) {
        struct cache_entry *entry = &index->entries[i];
        if (!oldest || entry->used < oldest->used)
            oldest = entry;
        if (!uuid_eq(&entry->project, project))
            continue;
        own_bytes += entry->bytes;
        own_count++;
        if (!own || entry->used < own->used)
            own = entry;
    }
    if (own && (own_count >= index->max_project_entries ||
                own_bytes + bytes > index->max_bytes / CACHE_SHARE))
        return own;
    return index->count >= index->max_count || index->bytes + bytes > index->max_bytes ? oldest
                                                                                       : NULL;
}

void cache_add(struct cache_index *index, const struct cache_entry *entry)
{
    CHECK(index->count < index->max_count && index->bytes + entry->bytes <= index->max_bytes);
    struct cache_entry *at = &index->entries[index->count++];
    *at = *entry;
    at->hash = sum_add(SUM_START, entry->text, entry->text_len);
    at->used = ++index->uses;
    index->bytes += entry->bytes;
}

struct cache_entry cache_remove(struct cache_index *index, struct cache_entry *entry)
{
    struct cache_entry removed = *entry;
    index->bytes -= removed.bytes;
    *entry = index->entries[--index->count];
    return removed;
}

struct cache_entry *cache_oldest(const struct cache_index *index)
{
    struct cache_entry *oldest = NULL;
    for (size_t i = 0; i < index->count; i++)
        if (!oldest || index->entries[i].stored_ns < oldest->stored_ns)
            oldest = &index->entries[i];
    return oldest;
}
