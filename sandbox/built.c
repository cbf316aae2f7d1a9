/* See built.h. */
#include "sandbox/built.h"
#include "sandbox/shelf.h"
#include <stdlib.h>

static struct built *find(const struct built_list *list, const struct uuid *id)
{
    for (size_t i = 0; list->rows && i < BOX_BUILT_MAX; i++)
        if (list->rows[i].used && uuid_eq(&list->rows[i].id, id))
            return &list->rows[i];
    return NULL;
}

static void drop(struct built *row)
{
    shelf_drop(row->shelf);
    row->shelf = NULL;
    row->used = false;
}

int built_add(struct built_list *list, struct job *job, struct err *err)
{
    struct built *row = NULL;
    if (!list->rows)
        list->rows = calloc(BOX_BUILT_MAX, sizeof *list->rows);
    if (!list->rows)
        return err_set(err, ERR_NO_MEMORY, "no memory for built programs");
    built_release(list, &job->request.id); /* built anew */
    for (size_t i = 0; i < BOX_BUILT_MAX && !row; i++)
        if (!list->rows[i].used)
            row = &list->rows[i];
    if (!row)
        return err_set(err, ERR_BUSY, "%d built programs are kept already", BOX_BUILT_MAX);
    row->shelf = shelf_new(job->host, job->box_mount, err);
    if (!row->shelf)
        return -1;
    row->used = true;
    row->id = job->request.id;
    row->request = job->request;
    row->given = job->given;
    return 0;
}

const struct built *built_find(const struct built_list *list, const struct uuid *id)
{
    return find(list, id);
}

void built_lend(const struct built *built, struct job *job)
{
    struct given own = job->given;
    struct limits run = job->request.run;
    struct uuid id = job->request.id;
    job->request = built->request;
    job->request.id = id;
    job->request.run = run;
    job->given = built->given;
    job->given.args_len = own.args_len;
    memcpy(job->given.args, own.args, own.args_len);
    job->shelf = shelf_hold(built->shelf);
}

void built_release(struct built_list *list, const struct uuid *id)
{
    struct built *row = find(list, id);
    if (row)
        drop(row);
}

void built_release_all(struct built_list *list)
{
    for (size_t i = 0; list->rows && i < BOX_BUILT_MAX; i++)
        if (list->rows[i].used)
            drop(&list->rows[i]);
    free(list->rows);
    list->rows = NULL;
}
