/* A submission with cases while it runs: the opened value, which case is next, what came of each,
 * and the verdict of all. Knows neither the launcher nor the journal: execute_jobs.c does. */
#pragma once
#include "sandbox/box.h"
#include "schemas/result.h"

#define CASE_NONE SIZE_MAX

struct cases;

/* Takes the memory that sub lives in: plain and arena are empty afterwards. */
struct cases *cases_new(const struct submission *sub, struct buf *plain, struct arena *arena);
void cases_free(struct cases *cases); /* wipes what it held; NULL is fine */
const struct submission *cases_submission(const struct cases *cases);

/* The program is compiled, or needs no compiling. */
void cases_built(struct cases *cases, const struct evidence *build);
/* The case to start now: CASE_NONE when it is not built, all were started, or the rest is not
 * wanted any more. */
size_t cases_next(const struct cases *cases);
bool cases_more(const struct cases *cases); /* is, or may still be, one to start? */
void cases_started(struct cases *cases, size_t index);
/* Judges one by its evidence and its checker, and keeps what is told of it. */
int cases_take(struct cases *cases, size_t index, const struct box_report *report,
               struct err *err) MUST_CHECK;
bool cases_unwanted(const struct cases *cases, size_t index); /* behind the first failure */
bool cases_over(const struct cases *cases);                   /* nothing to start, nothing out */

/* The cases of a verdict, in order; valid as long as cases is. Those that were not run, or behind
 * the first failure with stop_on_fail, are passed over. */
const struct case_result *cases_results(struct cases *cases, size_t *count);
/* The verdict of all: the first that failed in the order of the cases, and its evidence with the
 * compile's; AC and the first one's when none did. At least one was run. */
struct decision cases_decide(const struct cases *cases, struct evidence *ev);
