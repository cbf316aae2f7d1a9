/* Code is written from its end to its beginning, so that every jump's target, which is behind it,
 * has its place already. A place counts from the end. */
#include "sandbox/filter_code.h"
#include "lib/base/strict.h"
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define JUMP_MAX 255
#define ANSWERS 16
#define EXCEPTIONS 3 /* compared one by one within a range */

/* From this value to the next range's, `place` is where it goes on. */
struct range {
    uint32_t from;
    int place;
};

/* What a branch of the tree ends in: a place, but for single values with places of their own. */
struct leaf {
    uint32_t from;
    int place;
    struct range exceptions[EXCEPTIONS];
    size_t exception_count;
};

struct code {
    struct sock_filter *end; /* of the room */
    int used, room;
    struct {
        uint32_t action;
        int place;
    } answers[ANSWERS];
    size_t answer_count;
    bool overflow;
};

static int put(struct code *code, struct sock_filter instruction)
{
    if (code->used == code->room) {
        code->overflow = true;
        return code->used;
    }
    code->end[-++code->used] = instruction;
    return code->used;
}

static uint8_t distance(struct code *code, int place)
{
    int over = code->used - place;
    if (over > JUMP_MAX)
        code->overflow = true;
    return (uint8_t)over;
}

static int test(struct code *code, uint16_t how, uint32_t value, int yes, int no)
{
    if (yes == no)
        return yes;
    /* A place too far away is gone to in two steps. */
    for (int *far = code->used - yes > code->used - no ? &yes : &no;
         code->used - *far > JUMP_MAX - 1 && !code->overflow;
         far = code->used - yes > code->used - no ? &yes : &no)
        *far = put(code,
                   (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)(code->used - *far)));
    return put(code, (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | how | BPF_K), value,
                                                  distance(code, yes), distance(code, no)));
}

/* Takes a value at hand and goes on at a place. */
static int load(struct code *code, size_t offset, int place)
{
    if (place != code->used)
        put(code, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)(code->used - place)));
    return put(code, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* The place of an answer, which exists once. */
static int answer(struct code *code, uint32_t action)
{
    for (size_t i = 0; i < code->answer_count; i++)
        if (code->answers[i].action == action)
            return code->answers[i].place;
    int place = put(code, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
    if (code->answer_count == ANSWERS)
        code->overflow = true;
    else {
        code->answers[code->answer_count].action = action;
        code->answers[code->answer_count++].place = place;
    }
    return place;
}

static int tree(struct code *code, const struct leaf *leaves, size_t count)
{
    if (count == 1) {
        int place = leaves->place;
        for (size_t i = leaves->exception_count; i-- > 0;)
            place =
                test(code, BPF_JEQ, leaves->exceptions[i].from, leaves->exceptions[i].place, place);
        return place;
    }
    const struct leaf *middle = &leaves[count / 2];
    int above = tree(code, middle, count - count / 2);
    int below = tree(code, leaves, count / 2);
    return test(code, BPF_JGE, middle->from, above, below);
}

/* Decides by the value at hand. Ranges are sorted and begin with 0. */
static int decide(struct code *code, const struct range *ranges, size_t count)
{
    struct leaf leaves[FILTER_CALLS + 2];
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        struct leaf *last = made ? &leaves[made - 1] : NULL;
        if (last && last->place == ranges[i].place)
            continue; /* it goes on, behind an exception or at once */
        bool single = i + 1 < count && ranges[i + 1].from == ranges[i].from + 1;
        if (last && single && ranges[i + 1].place == last->place &&
            last->exception_count < EXCEPTIONS)
            last->exceptions[last->exception_count++] = ranges[i];
        else
            leaves[made++] = (struct leaf){.from = ranges[i].from, .place = ranges[i].place};
    }
    return tree(code, leaves, made);
}

static void add_range(struct range *ranges, size_t *count, uint32_t from, int place)
{
    if (*count == 0 || ranges[*count - 1].place != place)
        ranges[(*count)++] = (struct range){from, place};
}

static bool one_bit(uint32_t mask)
{
    return mask != 0 && (mask & (mask - 1)) == 0;
}

/* Rules about whole values, in rising order: ranges again. */
static int by_value(struct code *code, const struct filter_rule *rules, size_t count, int unlisted)
{
    struct range ranges[2 * FILTER_CALLS + 1];
    size_t made = 0;
    uint64_t next = 0;
    for (size_t i = 0; i < count; i++) {
        if (rules[i].value > next)
            add_range(ranges, &made, (uint32_t)next, unlisted);
        add_range(ranges, &made, rules[i].value, answer(code, rules[i].action));
        next = (uint64_t)rules[i].value + 1;
    }
    if (next <= UINT32_MAX)
        add_range(ranges, &made, (uint32_t)next, unlisted);
    return decide(code, ranges, made);
}

/* Rules about bits, one after the other. */
static int by_bits(struct code *code, const struct filter_rule *rules, size_t count, int unlisted,
                   size_t offset)
{
    int place = unlisted;
    while (count > 0) {
        const struct filter_rule *rule = &rules[--count];
        uint32_t mask = rule->mask;
        int then = answer(code, rule->action);
        if (rule->value == 0) {
            place = test(code, BPF_JSET, mask, place, then);
        } else if (rule->value == mask && one_bit(mask)) {
            for (; count > 0 && rules[count - 1].value == rules[count - 1].mask &&
                   one_bit(rules[count - 1].mask) && rules[count - 1].action == rule->action;
                 count--)
                mask |= rules[count - 1].mask;
            place = test(code, BPF_JSET, mask, then, place);
        } else {
            place = test(code, BPF_JEQ, rule->value, then, place);
            if (place == code->used)
                place = put(code, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
        }
        place = load(code, offset, place);
    }
    return place;
}

/* What follows once a call is known that has rules about an argument. */
static int by_argument(struct code *code, const struct filter_rule *rules, size_t count,
                       int unlisted)
{
    size_t offset = offsetof(struct seccomp_data, args) + rules->arg * sizeof(uint64_t);
    bool whole = true;
    for (size_t i = 0; i < count; i++)
        whole =
            whole && rules[i].mask == UINT32_MAX && (i == 0 || rules[i].value > rules[i - 1].value);
    if (!whole)
        return by_bits(code, rules, count, unlisted, offset);
    return load(code, offset, by_value(code, rules, count, unlisted));
}

/* socket and socketpair: the same rules are the same code. */
static bool same_rules(const struct filter_rule *a, size_t a_count, const struct filter_rule *b,
                       size_t b_count)
{
    for (size_t i = 0; i < a_count && a_count == b_count; i++)
        if (a[i].arg != b[i].arg || a[i].mask != b[i].mask || a[i].value != b[i].value ||
            a[i].action != b[i].action)
            return false;
    return a_count == b_count;
}

static size_t group_at(const struct filter_rules *rules, size_t at)
{
    size_t count = 1;
    while (at + count < rules->count && rules->rows[at + count].call == rules->rows[at].call)
        count++;
    return count;
}

/* The places of calls by number. -1 = two groups of rules for one call, or mixed ones. */
static int place_calls(struct code *code, const struct filter_rules *rules, int unlisted,
                       int places[FILTER_CALLS])
{
    bool listed[FILTER_CALLS] = {false};
    size_t count;
    for (size_t i = 0; i < FILTER_CALLS; i++)
        places[i] = unlisted;
    for (size_t i = 0; i < rules->count; i += count) {
        const struct filter_rule *rule = &rules->rows[i];
        count = group_at(rules, i);
        if (rule->call < 0 || rule->call >= FILTER_CALLS || listed[rule->call])
            return -1;
        listed[rule->call] = true;
        for (size_t k = 0; k < count; k++)
            if ((rule[k].mask == 0 && count > 1) || rule[k].arg != rule->arg || rule[k].arg > 5)
                return -1;
        int *place = &places[rule->call];
        size_t before = i;
        for (size_t k = 0; k < i && rule->mask != 0 && before == i; k += group_at(rules, k))
            if (same_rules(&rules->rows[k], group_at(rules, k), rule, count))
                before = k;
        if (before < i)
            *place = places[rules->rows[before].call];
        else
            *place = rule->mask == 0 ? answer(code, rule->action)
                                     : by_argument(code, rule, count, unlisted);
    }
    return 0;
}

int filter_compile(const struct filter_rules *rules, struct sock_filter *out, size_t *count,
                   struct err *err)
{
    struct code code = {.end = out + *count, .room = (int)*count};
    struct range ranges[FILTER_CALLS + 4];
    int places[FILTER_CALLS];
    size_t made = 0;
    int kill = answer(&code, SECCOMP_RET_KILL_PROCESS), unlisted = answer(&code, rules->unlisted);
    if (place_calls(&code, rules, unlisted, places) != 0)
        return err_set(err, ERR_BUG, "system-call filter: rules that do not go together");
    for (uint32_t i = 0; i < FILTER_CALLS; i++)
        add_range(ranges, &made, i, places[i]);
    add_range(ranges, &made, FILTER_CALLS, unlisted);
    add_range(ranges, &made, FILTER_FOREIGN, kill);
    add_range(ranges, &made, UINT32_MAX, unlisted); /* no call: a tracer's way to skip one */
    int known = load(&code, offsetof(struct seccomp_data, nr), decide(&code, ranges, made));
    int native = test(&code, BPF_JEQ, AUDIT_ARCH_X86_64, known, kill);
    load(&code, offsetof(struct seccomp_data, arch), native);
    if (code.overflow)
        return err_set(err, ERR_BUG, "system-call filter: more than %zu instructions", *count);
    memmove(out, code.end - code.used, (size_t)code.used * sizeof *out);
    *count = (size_t)code.used;
    return 0;
}
