/* What the stages share: settings, the signing secret, the database handle, offsets, reading a
 * record. No decisions. */
#pragma once
#include "consumers/runtime/stage.h"
#include "lib/db/db.h"
#include "lib/keystore/keystore.h"
#include "schemas/signing.h"
#include "schemas/webhook_url.h"

/* The record's headers as an envelope; false: it cannot be read (*has_id says whether the id can).
 */
bool stage_envelope(const struct record *rec, struct envelope *env, bool *has_id);
/* With [secrets] signing_file; close with signing_done. */
int stage_signing(const struct config *config, struct signing *out, struct err *err) MUST_CHECK;
/* [webhooks] schemes, ports, allow_networks. */
int stage_urls(const struct config *config, struct webhook_url_policy *out,
               struct err *err) MUST_CHECK;
/* NULL: believed. Else why not, counted as forged: the record goes to `dead` and does nothing. */
const char *stage_distrust(struct signing *signing, enum topic topic, const struct envelope *env,
                           const struct span *value);
const char *stage_distrust_value(enum topic topic, const struct envelope *env,
                                 const struct span *value);
struct key_id stage_key(const struct envelope *env);
/* Appends the plaintext; `content` is what the value holds (a job holds a submission). An error
 * names the id. */
int stage_open_value(struct keystore *ks, const struct envelope *env, enum record_type content,
                     struct span value, struct buf *plain, struct err *err) MUST_CHECK;
/* consumer_offsets -> those marks that are of this topic. A partition without a row is ERR_CONFIG
 * with the remedy. */
int stage_load_offsets(struct db *db, enum topic topic, struct mark *marks, size_t count,
                       struct err *err) MUST_CHECK;
/* marks of this topic -> consumer_offsets, within the current transaction or pipeline. */
int stage_advance(struct db *db, enum topic topic, const struct mark *marks, size_t count,
                  struct err *err) MUST_CHECK;
int stage_db_open(const struct config *config, enum setting url, const char *application,
                  enum db_plans plans, struct db **out, struct err *err) MUST_CHECK;
