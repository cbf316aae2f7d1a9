/* rustbox verify: decides a finished submission's verdict again, here, from the evidence in its
 * result, by the rules the service used, and says what each rule looked at. */
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "producers/cli/cli.h"
#include "schemas/result_check.h"
#include <stdio.h>
#include <stdlib.h>

#define RESULT_BYTES_MAX (16 * 1024 * 1024)

enum { FROM_FILE, DIGEST };
static const struct option options[] = {
    [FROM_FILE] = {"--file", "FILE|-", "a result body (rustbox result ID --json), not the API"},
    [DIGEST] = {"--digest", "HEX", "the evidence.digest you kept: the result must have this one"},
};

/* What became of it, by falling weight: the first that holds is the exit code. */
struct finding {
    bool open, nothing, differs, digest_broken, digest_other, digest_cut, cut, cases_uncovered;
    const char *altered;
};

static int exit_code_of(const struct finding *found)
{
    if (found->open)
        return EXIT_OPEN;
    if (found->differs || found->altered[0] || found->digest_broken || found->digest_cut ||
        found->digest_other)
        return EXIT_RE;
    return found->nothing ? EXIT_NO_EVIDENCE : EXIT_AC;
}

static const char *conclusion(const struct finding *found)
{
    return found->open            ? "no verdict yet"
           : found->differs       ? "the verdict differs"
           : found->altered[0]    ? "the result was altered: a member contradicts its evidence"
           : found->digest_broken ? "the result was altered: its digest is of something else"
           : found->digest_cut    ? "the digest given cannot be compared: the result is cut"
           : found->digest_other  ? "the result is not the one whose digest was given"
           : found->nothing       ? "nothing to decide again"
           : found->cut ? "equal in what a cut result shows; its outputs and digest are not checked"
                        : "equal";
}

static int fetch(const struct args *args, const char *id, struct buf *out, struct err *err)
{
    struct api *api;
    json_t *json = NULL;
    char path[64];
    int status, failed = -1;
    snprintf(path, sizeof path, "/api/result/%.40s", id);
    if (api_open(args, &api, err))
        return -1;
    if (api_call(api, "GET", path, span_of(NULL, 0), NULL, &status, &json, err) == 0)
        failed = status == 200 ? 0 : api_refused(status, json, err);
    if (!failed) {
        char *text = json_dumps(json, JSON_COMPACT);
        buf_puts(out, text ? text : "");
        free(text);
        if (out->failed)
            failed =
                err_set(err, ERR_TOO_LARGE, "the result is larger than %d bytes", RESULT_BYTES_MAX);
    }
    json_decref(json);
    api_close(api);
    return failed;
}

static int read_body(const struct args *args, struct buf *out, int *exit_code, struct err *err)
{
    const char *file = args->value[FROM_FILE];
    struct uuid id;
    if (args->positionals == 0)
        return read_file(file ? file : "-", RESULT_BYTES_MAX, out, err);
    *exit_code = EXIT_USAGE;
    if (file)
        return err_set(err, ERR_CONFIG, "give an id or --file, not both");
    if (uuid_parse(span_text(args->positional[0]), &id))
        return err_set(err, ERR_CONFIG,
                       "\"%.64s\" is not an id: 36 characters, as submit printed it",
                       args->positional[0]);
    *exit_code = EXIT_AC;
    return fetch(args, args->positional[0], out, err);
}

static json_t *decision_json(const struct decision *decision)
{
    return json_pack("{s:s,s:s,s:o,s:o,s:s}", "verdict", verdict_name(decision->verdict),
                     "verdict_cause", cause_name(decision->cause), "exit_code",
                     decision->has_exit_code ? json_integer(decision->exit_code) : json_null(),
                     "signal", decision->has_signal ? json_integer(decision->signal) : json_null(),
                     "output_integrity", output_integrity_name(decision->integrity));
}

/* Every rule up to the one that decided. */
static json_t *rules_json(const struct evidence *ev)
{
    json_t *rules = json_array();
    for (enum verdict_rule rule = 0; rule < RULE_COUNT; rule++) {
        struct verdict_figure figures[VERDICT_FIGURES_MAX];
        size_t count = verdict_figures(rule, ev, figures);
        bool matches = verdict_rule_matches(rule, ev);
        json_t *object = json_object();
        for (size_t i = 0; i < count; i++)
            json_object_set_new(object, figures[i].name,
                                json_integer((json_int_t)figures[i].value));
        json_array_append_new(rules, json_pack("{s:s,s:b,s:o}", "rule",
                                               cause_name(verdict_rule_cause(rule)), "matches",
                                               matches, "figures", object));
        if (matches)
            break;
    }
    return rules;
}

static void show_json(const struct result_check *check, const struct finding *found)
{
    char id[UUID_TEXT];
    const struct result *result = &check->result;
    if (found->open) {
        printf("{\"conclusion\":\"%s\"}\n", conclusion(found));
        return;
    }
    uuid_format(&result->id, id);
    json_t *json = json_pack(
        "{s:s,s:s,s:b,s:o,s:o,s:o,s:o,s:b,s:o}", "id", id, "conclusion", conclusion(found), "equal",
        exit_code_of(found) == EXIT_AC, "stored", decision_json(&result->verdict), "recomputed",
        found->nothing ? json_null() : decision_json(&check->recomputed), "rules",
        result->has_evidence ? rules_json(&result->evidence) : json_array(), "digest_holds",
        check->no_evidence || check->cut ? json_null() : json_boolean(!found->digest_broken),
        "cases_uncovered", found->cases_uncovered, "altered",
        found->altered[0] ? json_string(found->altered) : json_null());
    print_json(json);
    json_decref(json);
}

static void show_decision(const char *title, const struct decision *decision)
{
    printf("%-11s %-4s %s", title, verdict_name(decision->verdict), cause_name(decision->cause));
    if (decision->has_exit_code)
        printf("  exit %d", decision->exit_code);
    if (decision->has_signal)
        printf("  signal %d", decision->signal);
    printf("  output %s\n", output_integrity_name(decision->integrity));
}

static void show_rules(const struct evidence *ev)
{
    puts("rules, the first that matches decides:");
    for (enum verdict_rule rule = 0; rule < RULE_COUNT; rule++) {
        struct verdict_figure figures[VERDICT_FIGURES_MAX];
        size_t count = verdict_figures(rule, ev, figures);
        bool matches = verdict_rule_matches(rule, ev);
        printf("  %-4s%-22s", matches ? "yes" : "no", cause_name(verdict_rule_cause(rule)));
        for (size_t i = 0; i < count; i++)
            printf(" %s=%llu", figures[i].name, (unsigned long long)figures[i].value);
        putchar('\n');
        if (matches)
            break;
    }
}

static const char *digest_words(const struct result_check *check, const struct finding *found)
{
    return check->cut             ? "not checked: the result is cut, result_url has the whole"
           : found->digest_broken ? "does not fit the result"
           : found->digest_other  ? "is not the one given"
           : found->cases_uncovered
               ? "fits the result; of an older form, which leaves out the cases"
               : "fits the result";
}

static void show(const struct result_check *check, const struct finding *found)
{
    const struct result *result = &check->result;
    if (!found->open) {
        show_decision("stored", &result->verdict);
        if (result->has_evidence) {
            show_decision("recomputed", &check->recomputed);
            show_rules(&result->evidence);
        } else {
            puts(check->no_evidence ? "recomputed  - the result holds no evidence.measured"
                                    : "recomputed  - no program ran for this verdict");
        }
        if (!check->no_evidence)
            printf("digest      %s\n", digest_words(check, found));
        if (found->altered[0])
            printf("altered     %s\n", found->altered);
    }
    puts(conclusion(found));
}

static int given_digest(const struct args *args, uint8_t out[32], int *exit_code, struct err *err)
{
    if (!args->value[DIGEST] || hex_decode(span_text(args->value[DIGEST]), out, 32) == 0)
        return 0;
    *exit_code = EXIT_USAGE;
    return err_set(err, ERR_CONFIG, "--digest must be 64 hexadecimal digits in lower case");
}

static int run_verify(const struct args *args, int *exit_code, struct err *err)
{
    BUF_AUTO struct buf body = {.max = RESULT_BYTES_MAX + 65536};
    uint8_t given[32];
    if (given_digest(args, given, exit_code, err) || read_body(args, &body, exit_code, err))
        return -1;
    struct result_check *check = calloc(1, sizeof *check);
    if (!check)
        return err_set(err, ERR_NO_MEMORY, "verify");
    int failed = result_check(buf_span(&body), check, err);
    if (!failed) {
        struct finding found = {
            .open = check->open, .nothing = !check->result.has_evidence, .altered = check->altered};
        if (!check->open && !check->no_evidence) {
            found.differs = !result_check_equal(check);
            found.digest_broken = !result_check_digest_holds(check);
            found.cut = check->cut;
            found.digest_cut = args->value[DIGEST] && check->cut;
            found.cases_uncovered =
                check->cases_uncovered || (check->result.case_count > 0 && args->value[DIGEST] &&
                                           memcmp(given, check->older, sizeof given) == 0);
            found.digest_other = args->value[DIGEST] && !result_check_digest_is(check, given);
        }
        if (args->json)
            show_json(check, &found);
        else
            show(check, &found);
        *exit_code = exit_code_of(&found);
    }
    result_check_done(check);
    free(check);
    return failed;
}

const struct verb verb_verify = {
    .name = "verify",
    .positional = "[ID] ",
    .positionals = 1,
    .positionals_optional = true,
    .summary = "decide a verdict again from its evidence, here",
    .details = "Applies the service's own rules to the evidence in the result of ID (asked of the "
               "API), of --file, or of\n"
               "stdin, and shows the stored and the recomputed verdict and what each rule looked "
               "at. It also makes the\n"
               "result again from its evidence and compares it member by member, and its digest. "
               "The digest has no key:\n"
               "whoever alters a result can make a new one, so keep it elsewhere and give it with "
               "--digest. The body that\n"
               "a webhook brought may be cut: its outputs, cases and digest are not looked at, as "
               "the last line says.\n"
               "Whoever alters outputs can also call them cut: verify the whole, by its id. With "
               "--digest cut is exit 1.\n\n"
               "Exit codes of verify: 0 equal; 1 the verdict differs, or the result was altered; 2 "
               "usage; 7 the API or the\n"
               "file failed, or it is no result; 11 no verdict yet; 12 nothing to decide again: no "
               "program ran for this\n"
               "verdict (IE ie_rejected_* and the like), or the result holds no evidence.measured.",
    .options = options,
    .option_count = COUNT_OF(options),
    .run = run_verify,
};
