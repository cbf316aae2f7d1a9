/* rustbox-box-run: runs one file in the launcher and prints what came of it; for trying things out
 * and for tests. The verdict is decided here with the same rules as in the pipeline. */
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "sandbox/box.h"
#include "schemas/verdict_rules.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>

#define FILE_BYTES (64 << 20)

static const char help[] =
    "usage: rustbox-box-run [options] LANGUAGE FILE\n"
    "  --socket S    the launcher's socket (default /run/rustbox/box.sock)\n"
    "  --profile P   judge (default) or agent\n"
    "  --stdin F     what the program reads (default nothing)\n"
    "  --cpu-ms N, --wall-ms N, --memory-mb N, --processes N   other limits for the run\n"
    "  --file F      a file to lie beside the source under its own name (up to 64 times)\n"
    "  --arg A       one more argument of the program (up to 64 times)\n"
    "  --assurance high   share nothing with other jobs: no template, nothing made ahead\n"
    "  --repeat N    run it N times, print the last and the times\n"
    "Prints: verdict line, evidence as JSON, then stdout and stderr.\n";

struct options {
    const char *socket, *input;
    enum profile profile;
    bool high;
    uint64_t cpu_ms, wall_ms, memory_mb, processes, repeat;
    const char *files[GIVEN_FILES_MAX];
    struct span args[GIVEN_ARGS_MAX];
    size_t file_count, arg_count;
};

static int read_file(const char *path, struct buf *out, struct err *err)
{
    buf_init(out, FILE_BYTES);
    AUTO_FD int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (path && fd < 0)
        return err_sys(err, ERR_INVALID, "open %s", path);
    while (path) {
        char *room = buf_reserve(out, 65536);
        if (!room)
            return err_set(err, ERR_TOO_LARGE, "%s is over %d bytes", path, FILE_BYTES);
        ssize_t got = read(fd, room, 65536);
        if (got < 0)
            return err_sys(err, ERR_INVALID, "read %s", path);
        if (got == 0)
            break;
        buf_grow(out, (size_t)got);
    }
    return 0;
}

static int run_once(struct box *box, const struct box_job *job, struct box_report *report,
                    struct err *err)
{
    if (box_submit(box, job, err) != 0)
        return -1;
    for (;;) {
        struct pollfd poller = {.fd = box_fd(box), .events = POLLIN};
        if (poll(&poller, 1, -1) < 0 && errno != EINTR)
            return err_sys(err, ERR_SYSTEM, "poll");
        int got = box_next(box, report, err);
        if (got != 0)
            return got < 0 ? -1 : 0;
    }
}

static void print_section(const char *name, struct span text)
{
    printf("--- %s (%zu bytes)\n", name, text.len);
    fwrite(text.data, 1, text.len, stdout);
    if (text.len > 0 && ((const char *)text.data)[text.len - 1] != '\n')
        putchar('\n');
}

static int print_report(const struct box_report *report, struct err *err)
{
    struct decision decision = verdict_decide(&report->evidence, TAXONOMY_STANDARD);
    const struct phase_evidence *phase = evidence_phase(&report->evidence);
    BUF_AUTO struct buf text;
    buf_init(&text, BOX_MESSAGE_BYTES);
    if (evidence_encode(&report->evidence, &text, err) != 0)
        return -1;
    printf("verdict %s cause %s exit %d signal %d cpu_ms %.2f wall_ms %.2f peak_kb %llu\n",
           verdict_name(decision.verdict), cause_name(decision.cause), decision.exit_code,
           decision.signal, (double)phase->cpu_ns / 1e6, (double)phase->wall_ns / 1e6,
           (unsigned long long)phase->memory_peak_bytes / 1024);
    printf("evidence %s\n", buf_text(&text));
    print_section("stdout", report->out);
    print_section("stderr", report->errout);
    return 0;
}

static void set_limits(struct box_job *job, const struct options *options)
{
    job->run = limits_run(job->language, job->profile);
    job->compile = limits_compile(job->language);
    if (options->cpu_ms)
        job->run.cpu_ms = options->cpu_ms;
    if (options->wall_ms)
        job->run.wall_ms = options->wall_ms;
    if (options->memory_mb)
        job->run.memory_bytes = options->memory_mb << 20;
    if (options->processes)
        job->run.processes = options->processes;
}

static int read_files(const struct options *options, struct buf contents[GIVEN_FILES_MAX],
                      struct box_file files[GIVEN_FILES_MAX], struct err *err)
{
    for (size_t i = 0; i < options->file_count; i++) {
        const char *path = options->files[i], *slash = strrchr(path, '/');
        if (read_file(path, &contents[i], err) != 0)
            return -1;
        files[i] = (struct box_file){span_text(slash ? slash + 1 : path), buf_span(&contents[i])};
    }
    return 0;
}

static int run_file(const struct options *options, const char *language, const char *path,
                    struct err *err)
{
    BUF_AUTO struct buf code = {0};
    BUF_AUTO struct buf input = {0};
    struct rnd rnd = rnd_system();
    struct box_info info;
    struct box *box = NULL;
    struct box_job job = {.profile = options->profile, .high_assurance = options->high};
    if (language_find(span_text(language), &job.language) != 0)
        return err_set(err, ERR_INVALID, "no language %s", language);
    if (read_file(path, &code, err) != 0 || read_file(options->input, &input, err) != 0 ||
        box_open(options->socket, 5000, &box, &info, err) != 0)
        return -1;
    struct buf contents[GIVEN_FILES_MAX] = {0}; /* until the process ends */
    struct box_file files[GIVEN_FILES_MAX];
    if (read_files(options, contents, files, err) != 0)
        return -1;
    job.files = files;
    job.file_count = options->file_count;
    job.args = options->args;
    job.arg_count = options->arg_count;
    set_limits(&job, options);
    job.code = buf_span(&code);
    job.stdin_data = buf_span(&input);
    int result = 0;
    for (uint64_t i = 0; result == 0 && i < options->repeat; i++) {
        struct box_report report;
        job.id = uuid_v7(&clock_system, &rnd);
        int64_t begin = clock_system.mono_ns(&clock_system);
        result = run_once(box, &job, &report, err);
        if (result != 0)
            break;
        if (options->repeat > 1)
            printf("round_trip_ms %.3f setup_ms %.3f teardown_ms %.3f\n",
                   (double)(clock_system.mono_ns(&clock_system) - begin) / 1e6,
                   (double)report.evidence.setup_ns / 1e6,
                   (double)report.evidence.teardown_ns / 1e6);
        if (i + 1 == options->repeat)
            result = print_report(&report, err);
        box_report_done(&report);
    }
    box_close(box);
    return result;
}

static int number(const char *text, uint64_t *out)
{
    return span_u64(span_text(text), out);
}

int main(int argc, char **argv)
{
    static const struct option table[] = {
        {"socket", 1, NULL, 's'},  {"stdin", 1, NULL, 'i'},     {"cpu-ms", 1, NULL, 'c'},
        {"wall-ms", 1, NULL, 'w'}, {"memory-mb", 1, NULL, 'm'}, {"processes", 1, NULL, 'p'},
        {"repeat", 1, NULL, 'r'},  {"help", 0, NULL, 'h'},      {"profile", 1, NULL, 'P'},
        {"file", 1, NULL, 'f'},    {"arg", 1, NULL, 'a'},       {"assurance", 1, NULL, 'A'},
        {NULL, 0, NULL, 0}};
    struct options options = {.socket = "/run/rustbox/box.sock", .repeat = 1};
    struct err err;
    int bad = 0;
    for (int option; (option = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (option == 'h')
            return fputs(help, stdout), 0;
        else if (option == 's')
            options.socket = optarg;
        else if (option == 'i')
            options.input = optarg;
        else if (option == 'f' && options.file_count < GIVEN_FILES_MAX)
            options.files[options.file_count++] = optarg;
        else if (option == 'a' && options.arg_count < GIVEN_ARGS_MAX)
            options.args[options.arg_count++] = span_text(optarg);
        else if (option == 'A')
            bad |= !(options.high = strcmp(optarg, "high") == 0) && strcmp(optarg, "normal") != 0;
        else if (option == 'P')
            bad |= profile_find(span_text(optarg), &options.profile) != 0;
        else
            bad |= option == '?' || number(optarg, option == 'c'   ? &options.cpu_ms
                                                   : option == 'w' ? &options.wall_ms
                                                   : option == 'm' ? &options.memory_mb
                                                   : option == 'p' ? &options.processes
                                                                   : &options.repeat) != 0;
    }
    if (bad || argc - optind != 2)
        return fputs(help, stderr), 2;
    if (run_file(&options, argv[optind], argv[optind + 1], &err) == 0)
        return 0;
    fprintf(stderr, "rustbox-box-run: %s\n", err.message);
    return 1;
}
