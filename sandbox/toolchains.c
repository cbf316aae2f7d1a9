/* The toolchain table and its probe. The commands are the ones tried in every language; each flag
 * that a verdict depends on says so. A bind that begins with '?' is left out where the host has no
 * such path; a bind or a word of a command that begins with '+' where nothing was made ahead.
 *
 * Why these flags: the JVM's and V8's heap caps stand above the memory limit, so that a memory bomb
 * ends in the kernel's OOM kill, which nothing can forge, and not in an exit code; the JVM's young
 * generation and free ratios keep 350 MB of live data running in 512 MB; its warnings go to stderr,
 * because stdout belongs to the program. */
#include "sandbox/toolchains.h"
#include "lib/base/cleanup.h"
#include "lib/base/strict.h"
#include "sandbox/mounts.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define BINDS_MAX 24
#define WORDS_MAX 24 /* of a command */
#define VERSIONS_MAX 2
#define VERSION_TIMEOUT_MS 10000

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

#define GCC "/usr/bin/x86_64-linux-gnu-gcc-12"
#define GXX "/usr/bin/x86_64-linux-gnu-g++-12"
#define GO "/usr/lib/go-1.19"
#define GO_TOOL GO "/pkg/tool/linux_amd64"
#define GO_ARCHIVES GO "/pkg/linux_amd64"
#define JDK "/usr/lib/jvm/java-17-openjdk-amd64"
#define PYTHON "/usr/bin/python3.11"
#define NODE "/usr/bin/node"

#define ENVIRONMENT "PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8"
/* Compilers start a thread per core otherwise, and a host has more cores than the job has
 * processes. */
#define COMPILE_ENVIRONMENT ENVIRONMENT, "GOMAXPROCS=2"

/* What every dynamically linked program needs. /lib and /lib64 are links on Debian 12. */
#define LIBRARIES "/lib", "/lib64", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "?/usr/lib/locale"
#define ZONES "?/usr/share/zoneinfo"
/* as and ld are links, gcc looks for them by these names. */
#define BINUTILS                                                                                   \
    "/usr/bin/as", "/usr/bin/x86_64-linux-gnu-as", "/usr/bin/ld", "/usr/bin/x86_64-linux-gnu-ld",  \
        "/usr/bin/x86_64-linux-gnu-ld.bfd"
#define GCC_PARTS "/usr/lib/gcc/x86_64-linux-gnu"
#define NODE_PARTS NODE, "?/usr/share/nodejs"
#define JDK_PARTS JDK, "/etc/java-17-openjdk"

#define JVM_QUIET "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"
#define JAVAC_ARCHIVE "+-J-XX:SharedArchiveFile=" MOUNTS_PREBUILT "/javac.jsa"
#define JAVAC_QUIET "-J-XX:+UseSerialGC", "-J-XX:TieredStopAtLevel=1", "-J-XX:-UsePerfData"

static const struct row {
    const char *package; /* the remedy when something is missing */
    struct {
        const char *label;
        const char *const *argv; /* prints the version */
    } versions[VERSIONS_MAX];
    struct toolchain_phase compile, run;
    bool output_is_directory, sources_at_top;
    const char *sources;           /* NULL: none but what the main one names */
    const char *const *with_files; /* NULL: none */
} rows[LANGUAGE_COUNT] =
    {
        [LANGUAGE_python] =
            {
                .package = "python3.11-minimal libpython3.11-stdlib",
                .versions = {{"python", LIST(PYTHON, "--version")}},
                .run = {.family = FILTER_PYTHON,
                        .steps = {LIST(PYTHON, "/box/main.py")},
                        .env = LIST(ENVIRONMENT),
                        .binds = LIST(LIBRARIES, ZONES, PYTHON, "/usr/lib/python3.11")},
            },
        [LANGUAGE_c] =
            {
                .package = "gcc-12 libc6-dev",
                .versions = {{"gcc", LIST(GCC, "-dumpfullversion")}},
                .compile = {.family = FILTER_COMPILER,
                            .steps = {LIST(GCC, "-std=gnu17", "-O2", "-DONLINE_JUDGE", "-o",
                                           "/tmp/main", "/box/main.c", "-lm")},
                            .env = LIST(COMPILE_ENVIRONMENT),
                            .binds = LIST(LIBRARIES, BINUTILS, GCC, GCC_PARTS, "/usr/include")},
                .run = {.family = FILTER_NATIVE,
                        .steps = {LIST("/box/main")},
                        .env = LIST(ENVIRONMENT),
                        .binds = LIST(LIBRARIES, ZONES)},
                .sources = ".c",
                .with_files = LIST("-iquote", "/box"),
            },
        [LANGUAGE_cpp] =
            {
                .package = "g++-12",
                .versions = {{"g++", LIST(GXX, "-dumpfullversion")}},
                .compile = {.family = FILTER_COMPILER,
                            .steps = {LIST(GXX, "-std=gnu++17", "-O2", "-DONLINE_JUDGE", "-o",
                                           "/tmp/main", "/box/main.cpp",
                                           "+-isystem", "+" MOUNTS_PREBUILT "/cpp")},
                            .env = LIST(COMPILE_ENVIRONMENT),
                            .binds =
                                LIST(
                                    LIBRARIES,
                                    BINUTILS, GXX, GCC_PARTS, "/usr/include", "+" MOUNTS_PREBUILT)},
                .run = {.family = FILTER_NATIVE,
                        .steps = {LIST("/box/main")},
                        .env = LIST(ENVIRONMENT),
                        .binds = LIST(LIBRARIES, ZONES)},
                .sources = ".cpp .cc .cxx",
                .with_files = LIST("-iquote", "/box"),
            },
        [LANGUAGE_java] =
            {
                .package = "openjdk-17-jdk-headless",
                .versions = {{"openjdk", LIST(JDK "/bin/java", "--version")}},
                .compile = {.family = FILTER_COMPILER,
                            .steps = {LIST(JDK "/bin/javac", "-J-Xmx256m", JAVAC_QUIET,
                                           JAVAC_ARCHIVE, "-proc:none", "-encoding", "UTF-8",
                                           "-d", "/tmp/classes", "/box/Main.java")},
                            .env = LIST(COMPILE_ENVIRONMENT),
                            .binds = LIST(LIBRARIES, JDK_PARTS, "+" MOUNTS_PREBUILT)},
                .run = {.family = FILTER_JVM,
                        .steps = {LIST(JDK "/bin/java", "-Xss64m", JVM_QUIET, "-Xmx2g", "-Xms16m",
                                       "-Xmn64m", "-XX:MinHeapFreeRatio=10",
                                       "-XX:MaxHeapFreeRatio=20", "-XX:-UseContainerSupport",
                                       "-Xlog:disable", "-Xlog:all=error:stderr",
                                       "-Dfile.encoding=UTF-8", "-cp", "/box/classes", "Main")},
                        .env = LIST(ENVIRONMENT),
                        .binds = LIST(LIBRARIES, ZONES, JDK_PARTS)},
                .output_is_directory = true,
                .sources = ".java",
            },
        [LANGUAGE_javascript] =
            {
                .package = "nodejs",
                .versions = {{"node", LIST(NODE, "--version")}},
                .run = {.family = FILTER_NODE,
                        .steps = {LIST(NODE, "--max-old-space-size=2048", "/box/main.js")},
                        .env = LIST(ENVIRONMENT),
                        .binds = LIST(LIBRARIES, ZONES, NODE_PARTS)},
            },
        [LANGUAGE_typescript] =
            {
                .package = "esbuild nodejs",
                .versions = {{"esbuild", LIST("/usr/bin/esbuild", "--version")},
                             {"node", LIST(NODE, "--version")}},
                .compile = {.family = FILTER_COMPILER,
                            .steps = {LIST("/usr/bin/esbuild", "/box/main.ts",
                                           "--outfile=/tmp/main.js", "--format=cjs",
                                           "--log-level=warning")},
                            .env = LIST(COMPILE_ENVIRONMENT),
                            .binds = LIST(LIBRARIES, "/usr/bin/esbuild")},
                .run = {.family = FILTER_NODE,
                        .steps = {LIST(NODE, "--max-old-space-size=2048", "/box/main.js")},
                        .env = LIST(ENVIRONMENT),
                        .binds = LIST(LIBRARIES, ZONES, NODE_PARTS)},
                /* Given modules are put into the one output; node's own stay outside. */
                .with_files = LIST("--bundle", "--platform=node"),
            },
        [LANGUAGE_go] =
            {
                /* Compiler and linker are called directly: no build cache, a third of go build's
                 * time. Needs the shipped archives of the standard library, which end with Go 1.19.
                 */
                .package = "golang-1.19-go",
                .versions = {{"go", LIST(GO_TOOL "/compile", "-V")}},
                .compile = {.family = FILTER_COMPILER,
                            .steps = {LIST(GO_TOOL "/compile", "-p", "main", "-complete", "-I",
                                           GO_ARCHIVES, "-o", "/tmp/main.a", "/box/main.go"),
                                      LIST(GO_TOOL "/link", "-s", "-w", "-L", GO_ARCHIVES, "-o",
                                           "/tmp/main", "/tmp/main.a")},
                            .env = LIST(COMPILE_ENVIRONMENT, "GOROOT=" GO),
                            .binds =
                                LIST(LIBRARIES, GO_TOOL "/compile", GO_TOOL "/link", GO_ARCHIVES)},
                .run = {.family = FILTER_GO,
                        .steps = {LIST("/box/main")},
                        .env = LIST(ENVIRONMENT),
                        .binds = LIST(LIBRARIES, ZONES)},
                .sources = ".go",
                .sources_at_top = true,
            },
        [LANGUAGE_rust] =
            {
                /* Without -C linker it looks for cc, a link into /etc/alternatives. The standard
                 * library's debug information, 11 of 11.6 MB, serves nobody here. */
                .package = "rustc gcc-12 libc6-dev",
                .versions = {{"rustc", LIST("/usr/bin/rustc", "--version")}},
                .compile = {.family = FILTER_COMPILER,
                            .steps = {LIST("/usr/bin/rustc", "--edition", "2021", "-O",
                                           "-C", "codegen-units=1", "-C", "strip=debuginfo", "-C",
                                           "linker=" GCC, "-o", "/tmp/main", "/box/main.rs")},
                            .env = LIST(COMPILE_ENVIRONMENT),
                            .binds = LIST(LIBRARIES, BINUTILS, GCC, GCC_PARTS, "/usr/bin/rustc",
                                          "/usr/lib/rustlib")},
                .run = {.family = FILTER_NATIVE,
                        .steps = {LIST("/box/main")},
                        .env = LIST(ENVIRONMENT),
                        .binds = LIST(LIBRARIES, ZONES)},
            },
};

/* The lists without what the host lacks; for the process's lifetime. */
static const char *found_binds[LANGUAGE_COUNT][2][BINDS_MAX + 1];
static const char *found_words[LANGUAGE_COUNT][2][TOOLCHAIN_STEPS_MAX][WORDS_MAX + 1];

/* Starts a tool with an empty environment; its stdout goes to the returned pipe. */
static int start(const char *const *argv, pid_t *pid)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    posix_spawn_file_actions_t actions;
    char *environment[] = {(char[]){"PATH=/usr/bin:/bin"}, NULL};
    int result = posix_spawn_file_actions_init(&actions);
    if (result == 0) {
        result = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        if (result == 0)
            result = posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
        if (result == 0)
            result = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
        if (result == 0)
            result = posix_spawn(pid, argv[0], &actions, NULL, (char *const *)argv, environment);
        posix_spawn_file_actions_destroy(&actions);
    }
    close(ends[1]);
    if (result == 0)
        return ends[0];
    close(ends[0]);
    return -1;
}

/* The first bytes that a tool prints; false when it does not answer in time or fails. */
static bool ask(const char *const *argv, char *out, size_t size)
{
    pid_t pid = -1;
    AUTO_FD int fd = start(argv, &pid);
    if (fd < 0)
        return false;
    size_t len = 0;
    struct pollfd wait_for = {.fd = fd, .events = POLLIN};
    while (len + 1 < size && poll(&wait_for, 1, VERSION_TIMEOUT_MS) > 0) {
        ssize_t got = read(fd, out + len, size - 1 - len);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    out[len] = '\0';
    if (len == 0)
        kill(pid, SIGKILL);
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return len > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Appends "label 1.2.3", taken from the first digit of what the tool prints to the next space. */
static bool add_version(const char *label, const char *const *argv, char *out, size_t size)
{
    char text[400];
    if (!ask(argv, text, sizeof text))
        return false;
    const char *number = strpbrk(text, "0123456789");
    if (!number)
        return false;
    size_t used = strlen(out);
    snprintf(out + used, size - used, "%s%s %.*s", used > 0 ? ", " : "", label,
             (int)strcspn(number, " \t\r\n"), number);
    return true;
}

/* Copies the list of binds without the absent optional ones; returns the first that is missing. */
static const char *find_binds(const char *const *wanted, bool prebuilt, const char **found)
{
    size_t count = 0;
    for (; *wanted; wanted++) {
        if (**wanted == '+') {
            if (prebuilt)
                found[count++] = *wanted + 1;
            continue;
        }
        bool optional = **wanted == '?';
        const char *path = *wanted + optional;
        struct stat info;
        if (stat(path, &info) != 0) {
            if (optional)
                continue;
            return path;
        }
        CHECK(count < BINDS_MAX);
        found[count++] = path;
    }
    found[count] = NULL;
    return NULL;
}

static const char *const *find_words(const char *const *wanted, bool prebuilt, const char **found)
{
    size_t count = 0;
    for (; *wanted; wanted++) {
        bool optional = **wanted == '+';
        CHECK(count < WORDS_MAX);
        if (!optional || prebuilt)
            found[count++] = *wanted + optional;
    }
    found[count] = NULL;
    return found;
}

static const char *const no_words[] = {NULL};

static const char *find_phase(const struct toolchain_phase *row, bool compile, bool prebuilt,
                              struct toolchain *out)
{
    struct toolchain_phase *phase = compile ? &out->compile : &out->run;
    const char **binds = found_binds[out->language][compile];
    *phase = *row;
    phase->binds = binds;
    for (size_t i = 0; row->steps[i]; i++)
        phase->steps[i] =
            find_words(row->steps[i], prebuilt, found_words[out->language][compile][i]);
    return find_binds(row->binds, prebuilt, binds);
}

static void probe(enum language language, bool prebuilt, struct toolchain *out)
{
    const struct row *row = &rows[language];
    *out = (struct toolchain){.language = language,
                              .has_compile = row->compile.steps[0] != NULL,
                              .output = language_output(language),
                              .sources = row->sources ? row->sources : "",
                              .sources_at_top = row->sources_at_top,
                              .with_files = row->with_files ? row->with_files : no_words,
                              .output_is_directory = row->output_is_directory};
    const char *missing = find_phase(&row->run, false, prebuilt, out);
    if (!missing && out->has_compile)
        missing = find_phase(&row->compile, true, prebuilt, out);
    if (missing) {
        snprintf(out->why_missing, sizeof out->why_missing, "%s is missing: apt-get install %s",
                 missing, row->package);
        return;
    }
    for (size_t i = 0; i < VERSIONS_MAX && row->versions[i].label; i++) {
        if (!add_version(row->versions[i].label, row->versions[i].argv, out->version,
                         sizeof out->version)) {
            snprintf(out->why_missing, sizeof out->why_missing,
                     "%s does not tell its version: apt-get install --reinstall %s",
                     row->versions[i].argv[0], row->package);
            return;
        }
    }
    out->available = true;
}

int toolchains_probe(struct toolchain out[LANGUAGE_COUNT], bool prebuilt, struct err *err)
{
    (void)err; /* nothing can fail yet: a missing tool is a row's finding */
    for (unsigned i = 0; i < LANGUAGE_COUNT; i++)
        probe((enum language)i, prebuilt, &out[i]);
    return 0;
}
