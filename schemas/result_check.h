/* A finished result's v1 body, as anybody may hold it, read back and checked against itself: its
 * verdict decided again from its evidence by the same rules, its digest made again, and every
 * member that follows from the evidence compared. No I/O. Trusts nothing in the body. */
#pragma once
#include "lib/base/arena.h"
#include "schemas/result.h"

struct json_t;

struct result_check {
    bool open;        /* no verdict yet: nothing else counts */
    bool no_evidence; /* made before bodies held it; or of another form: nothing to decide again */
    bool cut; /* a webhook's body: outputs cut or cases left out, so the digest cannot be made again
               */
    bool has_cases;       /* the evidence is the decisive case's */
    bool cases_uncovered; /* it states a digest of form 1, which says nothing of the cases it has */
    struct result result; /* as the body says; texts point into this check */
    enum taxonomy taxonomy;
    struct decision recomputed;                /* counts when result.has_evidence */
    uint8_t stated[32], digest[32], older[32]; /* older: in form 1 */
    char altered[96]; /* the first member that its own evidence contradicts; "" = none */
    struct json_t *json;
    struct arena arena;
};

/* ERR_CORRUPT: not JSON, not a result, or evidence that nobody can read. result_check_done in any
 * case. */
int result_check(struct span body, struct result_check *out, struct err *err) MUST_CHECK;
void result_check_done(struct result_check *check);
/* Stated and recomputed agree in verdict, cause, exit code, signal and output integrity. */
bool result_check_equal(const struct result_check *check);
bool result_check_digest_holds(const struct result_check *check);
/* The digest somebody kept of this result, in either form. False of a body that is cut. */
bool result_check_digest_is(const struct result_check *check, const uint8_t kept[32]);
