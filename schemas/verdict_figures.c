/* What each verdict rule looked at, from the table verdict_figures.def. Decides nothing. */
#include "lib/base/strict.h"
#include "schemas/verdict_rules.h"

size_t verdict_figures(enum verdict_rule rule, const struct evidence *ev,
                       struct verdict_figure out[VERDICT_FIGURES_MAX])
{
    const struct phase_evidence *phase = evidence_phase(ev);
    size_t count = 0;
#define DID(action) ((phase->actions & (action)) != 0)
#define FIGURE(of, figure, number)                                                                 \
    if (rule == RULE_##of) {                                                                       \
        CHECK(count < VERDICT_FIGURES_MAX);                                                        \
        out[count++] = (struct verdict_figure){.name = figure, .value = number};                   \
    }
#include "schemas/verdict_figures.def"
#undef FIGURE
#undef DID
    return count;
}
