/* The command `rustbox`: finds the verb, parses its options, prints its error. Verbs do the rest.
 */
#include "lib/base/std_fds.h"
#include "lib/base/strict.h"
#include "producers/cli/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct verb *const verbs[] = {
    &verb_submit,
    &verb_result,
    &verb_verify,
    &verb_watch,
    &verb_list,
    &verb_usage,
    &verb_balance,
    &verb_webhook_create,
    &verb_webhook_list,
    &verb_webhook_show,
    &verb_webhook_update,
    &verb_webhook_rotate,
    &verb_webhook_test,
    &verb_webhook_enable,
    &verb_webhook_disable,
    &verb_webhook_delete,
    &verb_webhook_deliveries,
    &verb_webhook_attempts,
    &verb_webhook_redeliver,
    &verb_dead_list,
    &verb_dead_show,
    &verb_dead_redrive,
    &verb_dead_purge,
    &verb_admin_migrate,
    &verb_admin_topics,
    &verb_admin_warm,
    &verb_admin_project_create,
    &verb_admin_project_list,
    &verb_admin_key_create,
    &verb_admin_key_list,
    &verb_admin_key_revoke,
};

static const char common_help[] =
    "\nOptions of every verb:\n"
    "  --json              machine-readable output on stdout\n"
    "  --api URL           the API (default $RUSTBOX_API, then http://127.0.0.1:4096)\n"
    "  --key KEY           your API key (default $RUSTBOX_KEY; better, as others see command "
    "lines)\n"
    "  --config FILE       of admin, balance and dead (default $RUSTBOX_CONFIG, then "
    "/etc/rustbox/rustbox.conf)\n"
    "  --help              this text\n"
    "\nExit codes:\n"
    "  0 AC, or done       1 RE; balance: difference not 0    2 usage\n"
    "  3 TLE               4 MLE                              5 SIG\n"
    "  6 IE                7 API, network, database, broker   8 WA\n"
    "  9 PLE              10 FSE                             11 no verdict yet\n"
    " 12 verify: nothing to decide again (see rustbox verify --help)\n";

static void print_help(void)
{
    puts("rustbox " RUSTBOX_VERSION ": run untrusted programs, get verdicts\n\n"
         "Usage: rustbox VERB [options]     rustbox VERB --help says more\n");
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "%s %s", verbs[i]->name, verbs[i]->positional);
        printf("  %-36s%s\n", usage, verbs[i]->summary);
    }
    fputs(common_help, stdout);
}

static void print_verb_help(const struct verb *verb)
{
    printf("Usage: rustbox %s %s[options]\n\n%s\n", verb->name, verb->positional, verb->summary);
    if (verb->details)
        printf("\n%s\n", verb->details);
    if (verb->option_count > 0)
        puts("\nOptions:");
    for (size_t i = 0; i < verb->option_count; i++) {
        char usage[64];
        const struct option *option = &verb->options[i];
        snprintf(usage, sizeof usage, "%s %s", option->name, option->value ? option->value : "");
        printf("  %-25s %s\n", usage, option->help);
    }
    fputs(common_help, stdout);
}

/* How many words of argv (from 1) are this verb's name; 0 = another verb. */
static int words_of(const struct verb *verb, int argc, char **argv)
{
    const char *at = verb->name;
    int word = 1;
    for (;; word++) {
        size_t len = strcspn(at, " ");
        if (word >= argc || strlen(argv[word]) != len || strncmp(argv[word], at, len) != 0)
            return 0;
        if (at[len] == '\0')
            return word;
        at += len + 1;
    }
}

/* One more place for a repeated option; NULL: there are too many. */
static const char **repeated_place(struct args *args, size_t option)
{
    if (args->repeated_count == REPEATED_MAX)
        return NULL;
    args->repeated[args->repeated_count].option = option;
    return &args->repeated[args->repeated_count++].value;
}

static const char **place_of(const struct verb *verb, struct args *args, const char *name,
                             bool *takes_value)
{
    *takes_value = true;
    if (strcmp(name, "--api") == 0)
        return &args->api;
    if (strcmp(name, "--key") == 0)
        return &args->key;
    if (strcmp(name, "--config") == 0)
        return &args->config_path;
    for (size_t i = 0; i < verb->option_count; i++) {
        if (strcmp(verb->options[i].name, name) != 0)
            continue;
        *takes_value = verb->options[i].value != NULL;
        return verb->options[i].repeats ? repeated_place(args, i) : &args->value[i];
    }
    return NULL;
}

static int parse(const struct verb *verb, char **words, struct args *args, struct err *err)
{
    bool only_positionals = false;
    for (; *words; words++) {
        bool takes_value;
        if (!only_positionals && strcmp(*words, "--") == 0) {
            only_positionals = true;
        } else if (only_positionals || **words != '-' || strcmp(*words, "-") == 0) {
            if (args->positionals == verb->positionals)
                return err_set(err, ERR_CONFIG, "%s is one argument too many", *words);
            args->positional[args->positionals++] = *words;
        } else if (strcmp(*words, "--json") == 0) {
            args->json = true;
        } else {
            const char **place = place_of(verb, args, *words, &takes_value);
            if (!place)
                return err_set(err, ERR_CONFIG, "there is no option %s, or too many of them",
                               *words);
            if (takes_value && !words[1])
                return err_set(err, ERR_CONFIG, "%s needs a value", *words);
            *place = takes_value ? *++words : "";
        }
    }
    if (args->positionals < verb->positionals && !verb->positionals_optional)
        return err_set(err, ERR_CONFIG, "%sis missing", verb->positional);
    return 0;
}

static bool wants_help(char **words)
{
    for (; *words && strcmp(*words, "--") != 0; words++)
        if (strcmp(*words, "--help") == 0 || strcmp(*words, "-h") == 0)
            return true;
    return false;
}

static int run(const struct verb *verb, char **words)
{
    struct args args = {.verb = verb, .api = getenv("RUSTBOX_API"), .key = getenv("RUSTBOX_KEY")};
    struct err err = {.code = ERR_NONE};
    int exit_code = EXIT_AC;
    if (parse(verb, words, &args, &err)) {
        fprintf(stderr, "rustbox %s: %s; see rustbox %s --help\n", verb->name, err.message,
                verb->name);
        return EXIT_USAGE;
    }
    if (verb->run(&args, &exit_code, &err) == 0) {
        if (fflush(stdout) == 0 && !ferror(stdout))
            return exit_code;
        err_sys(&err, ERR_SYSTEM, "writing the output");
        exit_code = EXIT_FAILED;
    }
    fprintf(stderr, "rustbox %s: %s\n", verb->name, err.message);
    return exit_code != EXIT_AC ? exit_code : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    if (!std_fds_hold())
        return EXIT_FAILED;
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        int words = words_of(verbs[i], argc, argv);
        if (words == 0)
            continue;
        if (wants_help(argv + words + 1)) {
            print_verb_help(verbs[i]);
            return EXIT_AC;
        }
        return run(verbs[i], argv + words + 1);
    }
    if (argc < 2 || wants_help(argv + 1)) {
        print_help();
        return argc < 2 ? EXIT_USAGE : EXIT_AC;
    }
    if (strcmp(argv[1], "--version") == 0)
        return puts("rustbox " RUSTBOX_VERSION) < 0 ? EXIT_FAILED : EXIT_AC;
    if (strcmp(argv[1], "admin") == 0 || strcmp(argv[1], "webhook") == 0 ||
        strcmp(argv[1], "dead") == 0)
        fprintf(stderr, "rustbox: %s wants one of its verbs, like \"%s\"; see rustbox --help\n",
                argv[1],
                argv[1][0] == 'a'   ? "admin key list"
                : argv[1][0] == 'w' ? "webhook list"
                                    : "dead list");
    else if (argv[1][0] == '-')
        fprintf(stderr, "rustbox: the verb comes first, like \"list %s\"; see rustbox --help\n",
                argv[1]);
    else
        fprintf(stderr, "rustbox: there is no verb \"%s\"; see rustbox --help\n", argv[1]);
    return EXIT_USAGE;
}
