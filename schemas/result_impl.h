/* Between result.c (packing), result_body.c (the body) and result_cases.c (both, of cases). */
#pragma once
#include "schemas/result.h"
#include <cjson/cJSON.h>

bool result_get_u64(const cJSON *item, uint64_t *out);
bool result_get_int(const cJSON *meta, const char *name, bool *has, int *out);
const char *result_get_text(const cJSON *meta, const char *name); /* "" when there is none */
int result_get_decision(const cJSON *meta, struct decision *out, struct err *err) MUST_CHECK;
void result_put_u64(struct buf *out, const char *name, uint64_t value); /* with a comma before it */
void result_put_decision(struct buf *out, const struct decision *decision); /* the same */
/* A key of the body with its bytes, and their base64 when the text form loses some; then a comma. */
void result_put_output(struct buf *out, const char *key, struct span bytes);
void result_put_seconds(struct buf *out, const char *key, uint64_t ns);

void cases_pack(const struct case_result *cases, size_t count, struct buf *out);
int cases_unpack(struct span section, struct arena *arena, struct result *out,
                 struct err *err) MUST_CHECK;
/* cut: the summary alone. */
void cases_body(const struct case_result *cases, size_t count, bool cut, struct buf *out);
/* What does not depend on measurement, of a section. */
int cases_canonical(struct span section, struct buf *out, struct err *err) MUST_CHECK;
