/* Programs built once to be run many times: what box_build left, by client, until it is released or
 * the client goes. A run gets a copy of the read-only mount, or the sandbox that an earlier run has
 * left (shelf.h). */
#pragma once
#include "sandbox/job.h"

struct built {
    bool used;
    struct uuid id;
    struct box_job request; /* the job that built it, without spans */
    struct given given;     /* its files: a run links them */
    struct shelf *shelf;
};

struct built_list {
    struct built *rows; /* BOX_BUILT_MAX, made with the first; NULL before */
};

/* Takes what a job built, which may then go. */
int built_add(struct built_list *list, struct job *job, struct err *err) MUST_CHECK;
const struct built *built_find(const struct built_list *list, const struct uuid *id);
/* Makes job a run of it: its language, its files, its shelf. */
void built_lend(const struct built *built, struct job *job);
void built_release(struct built_list *list, const struct uuid *id); /* unknown: nothing */
void built_release_all(struct built_list *list);
