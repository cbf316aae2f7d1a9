/* Between submission.c (the whole) and submission_fields.c (args, files, labels, limits),
 * submission_cases.c (cases): read from
 * a body or from a payload's metadata by the same rules, written into both. */
#pragma once
#include "schemas/fields_impl.h"
#include "schemas/submission.h"

struct reading {
    struct arena *arena;
    char *field; /* may be NULL */
    struct err *err;
};

/* An array with at most max elements; *count is 0 when it is absent. */
int read_array(struct reading *in, const char *name, const json_t *value, size_t max,
               size_t *count) MUST_CHECK;
int read_object(struct reading *in, const char *name, const json_t *value) MUST_CHECK;
int read_no_memory(struct reading *in, const char *name);

/* value NULL: the field is absent. `name` is the field's name in messages. */
int read_args(struct reading *in, const char *name, const json_t *value, const struct span **args,
              size_t *count) MUST_CHECK;
/* contents NULL: a body, whose files carry their content; else so many sections, in order. */
int read_files(struct reading *in, const json_t *value, const struct span *contents, size_t given,
               struct submission *out) MUST_CHECK;
int read_labels(struct reading *in, const json_t *value, struct submission *out) MUST_CHECK;
/* contents NULL: a body, else the section that holds stdin and expected outputs. */
int read_cases(struct reading *in, const json_t *root, const struct span *contents,
               struct submission *out) MUST_CHECK;
int read_limits(struct reading *in, const json_t *value, struct submission *out) MUST_CHECK;
/* The rules that need the language: names that are taken, the profile's own limits. */
int check_with_language(struct reading *in, const struct submission *sub) MUST_CHECK;

/* Members of a JSON object, each with a comma after it; nothing for what is absent. */
void put_args(struct buf *out, const struct span *args, size_t count);
void put_files(struct buf *out, const struct submission *sub, bool contents);
void put_cases(struct buf *out, const struct submission *sub, bool contents);
void put_stop(struct buf *out, const struct submission *sub);
/* All stdins and expected outputs, for the section. */
void pack_cases(struct buf *out, const struct submission *sub);
void put_labels(struct buf *out, const struct submission *sub);
void put_limits(struct buf *out, const struct submission *sub);
