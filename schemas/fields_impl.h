/* The strict reader of request bodies with its JSON values in the open, for the readers of nested
 * fields (submission_fields.c). Nobody else includes it: jansson's types stay here. */
#pragma once
#include "schemas/fields.h"
#include <jansson.h>

void fields_release(json_t **root);
#define FIELDS_AUTO __attribute__((cleanup(fields_release)))

/* As fields_parse, and keeps the object; NULL on failure. Its nested members are not looked at. */
json_t *fields_open(struct span body, const struct field_rule *rules, size_t count,
                    struct arena *arena, struct span *values, char field[FIELD_NAME],
                    struct err *err) MUST_CHECK;
/* Nothing in object but what the rules name; prefix is put before a name in the message. */
int field_known(const json_t *object, const char *prefix, const struct field_rule *rules,
                size_t count, char field[FIELD_NAME], struct err *err) MUST_CHECK;
/* One text by its rule, copied into the arena. */
int field_text(const struct field_rule *rule, const json_t *value, struct arena *arena,
               struct span *out, char field[FIELD_NAME], struct err *err) MUST_CHECK;
const char *field_type(const json_t *value); /* "an array" */
