/* The decision of shelf.h, from the evidence alone. */
#include "sandbox/shelf.h"
#include <signal.h>

/* The program's own end, seen in full: nothing was killed, refused, lost or left. What a program
 * does to itself (exit codes, a crash) is its own matter. */
bool shelf_clean(const struct evidence *ev, uint32_t required)
{
    const struct phase_evidence *run = &ev->run;
    bool sound = ev->setup_ok && (ev->controls_missing & required) == 0 &&
                 ev->collection_errors[0][0] == '\0';
    bool ended = run->ran && run->reported && run->exited != run->signaled &&
                 !(run->signaled &&
                   (run->signal == SIGKILL || run->signal == SIGSYS || run->signal == SIGXCPU));
    bool kept_limits = run->actions == 0 && run->oom_events == 0 && run->oom_kills == 0 &&
                       run->pids_denied == 0 && !run->stdout_cut && !run->stderr_cut;
    bool alone = run->group_empty && run->survivors == 0 && run->zombies == 0;
    return sound && ended && kept_limits && alone && run->seccomp_count == 0;
}
