#!/usr/bin/python3
"""Reads the source and holds it to the rules of the house: who may include whom, which library is
called where, which functions nobody calls. Files over 500 lines are named, not refused.

    source_rules.py [ROOT]        checks a tree
    source_rules.py --self-test   plants each violation in a scratch tree and wants it found
"""
import os
import re
import sys
import tempfile

# Folder -> prefixes that it may include from. The first match wins; tests may include anything.
MAY_INCLUDE = (
    ('lib/base/', ('lib/base/',)),
    ('lib/', ('lib/',)),
    ('schemas/', ('schemas/', 'lib/base/', 'lib/crypto/')),
    ('sandbox/', ('sandbox/', 'schemas/', 'lib/base/', 'lib/log/', 'lib/crypto/')),
    ('consumers/', ('consumers/', 'lib/', 'schemas/', 'sandbox/box.h')),
    ('producers/', ('producers/', 'lib/', 'schemas/')),
    ('tests/', ('',)),
)
# Library header -> (what it is, folders whose files may include it, also in headers?)
LIBRARIES = (
    (r'librdkafka/|rdkafka', 'librdkafka', ('lib/kafka/',), True),
    (r'libpq-fe\.h|libpq/', 'libpq', ('lib/db/',), True),
    (r'openssl/', 'OpenSSL', ('lib/crypto/',), True),
    (r'jansson\.h', 'jansson', ('schemas/', 'producers/', 'consumers/'), False),
    (r'cjson/', 'cJSON', ('schemas/', 'sandbox/', 'producers/', 'consumers/'), False),
    (r'seccomp\.h', 'libseccomp', ('sandbox/',), True),
    (r'curl/', 'libcurl', ('lib/http/', 'consumers/'), True),
    (r'microhttpd\.h', 'libmicrohttpd', ('producers/gateway/',), True),
)
# Codec types in a header: schemas, and the command line's own, which prints the service's JSON.
JSON_HEADERS = ('schemas/', 'producers/cli/')
BANNED = {
    'strcpy': 'span_copy or snprintf', 'strcat': 'struct buf', 'sprintf': 'snprintf',
    'vsprintf': 'vsnprintf', 'gets': 'fgets', 'strtok': 'span functions', 'atoi': 'span_u64',
    'atol': 'span_u64', 'atof': 'a checked parser', 'strtol': 'span_u64', 'strtoul': 'span_u64',
    'localtime': 'rfc3339_format', 'gmtime': 'day_format', 'rand': 'struct rnd',
    'srand': 'struct rnd', 'system': 'posix_spawn in tests', 'popen': 'posix_spawn in tests',
    'alloca': 'an arena', 'fork': 'only sandbox/ and tests/ make processes',
    'vfork': 'only sandbox/ and tests/ make processes',
}
CALL = re.compile(r'(?<![\w.>])(' + '|'.join(BANNED) + r')\s*\(')
TYPES_IN_HEADERS = re.compile(r'\b(json_t|cJSON|PGconn|PGresult|rd_kafka_t|EVP_\w+)\b')
LITERALS = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(["<])([^">]+)[">]', re.M)


def check_includes(path, text):
    prefixes = next((allowed for folder, allowed in MAY_INCLUDE if path.startswith(folder)), None)
    for match in INCLUDE.finditer(text):
        line, quoted, name = text.count('\n', 0, match.start()) + 1, match[1] == '"', match[2]
        if quoted:
            if prefixes is None or not name.startswith(prefixes):
                yield line, f'must not include {name} (see the arrows in README.md)'
            private = re.search(r'(internal|_impl)\.h$', name)
            if private and os.path.dirname(name) != os.path.dirname(path):
                yield line, f'{name} is private to its folder'
            continue
        for pattern, library, folders, in_headers in LIBRARIES:
            if not re.match(pattern, name) or path.startswith('tests/'):
                continue
            if not path.startswith(folders):
                yield line, f'{library} is called only in {", ".join(folders)}'
            elif path.endswith('.h') and not in_headers and not path.startswith(JSON_HEADERS):
                yield line, f'{library} types stay out of headers: include {name} in the .c file'


def check_code(path, text):
    code = LITERALS.sub(lambda m: re.sub(r'[^\n]', ' ', m[0]), text)
    for match in CALL.finditer(code):
        if match[1] in ('fork', 'vfork') and path.startswith(('sandbox/', 'tests/')):
            continue
        if match[1] in ('strtol', 'strtoul') and path.startswith('tests/'):
            continue # options of test tools
        yield code.count('\n', 0, match.start()) + 1, f'{match[1]}() is banned: {BANNED[match[1]]}'
    public = path.endswith('.h') and not re.search(r'(internal|_impl)\.h$', path)
    if public and not path.startswith('tests/'):
        for match in TYPES_IN_HEADERS.finditer(code):
            if match[1] in ('json_t', 'cJSON') and path.startswith(JSON_HEADERS):
                continue
            yield code.count('\n', 0, match.start()) + 1, f'{match[1]} does not belong in a header'


def check_tree(root):
    """Returns (violations, warnings), each "path:line: text"."""
    violations, warnings = [], []
    for folder, names, files in os.walk(root):
        relative = os.path.relpath(folder, root)
        if relative == '.':
            names[:] = [n for n in names if n not in ('build', 'var') and not n.startswith('.')]
        names[:] = [n for n in names if n not in ('node_modules', 'programs', 'samples', 'attempts')]
        for name in files:
            if not name.endswith(('.c', '.h')):
                continue
            path = os.path.normpath(os.path.join(relative, name))
            with open(os.path.join(folder, name), encoding='utf-8') as file:
                text = file.read()
            for line, what in (*check_includes(path, text), *check_code(path, text)):
                violations.append(f'{path}:{line}: {what}')
            if text.count('\n') > 500:
                warnings.append(f'{path}: {text.count(chr(10))} lines: think about splitting it')
    return sorted(violations), sorted(warnings)


PLANTED = (
    # path, text, words of the violation ('' = none)
    ('lib/base/a.c', '#include "lib/log/log.h"\n', 'must not include'),
    ('lib/db/a.c', '#include "schemas/topics.h"\n', 'must not include'),
    ('schemas/a.c', '#include "lib/db/db.h"\n', 'must not include'),
    ('consumers/a.c', '#include "sandbox/phase.h"\n', 'must not include'),
    ('consumers/b.c', '#include "sandbox/box.h"\n', ''),
    ('consumers/c.c', '#include "producers/gateway/http.h"\n', 'must not include'),
    ('sandbox/a.c', '#include "lib/kafka/bus.h"\n', 'must not include'),
    ('producers/a.c', '#include "sandbox/box.h"\n', 'must not include'),
    ('lib/log/a.c', '#include "lib/db/db_internal.h"\n', 'private to its folder'),
    ('lib/log/b.c', '# include <librdkafka/rdkafka.h>\n', 'only in lib/kafka/'),
    ('lib/log/c.c', '#include <libpq-fe.h>\n', 'only in lib/db/'),
    ('schemas/b.c', '#include <openssl/evp.h>\n', 'only in lib/crypto/'),
    ('lib/log/d.c', '#include <jansson.h>\n', 'only in schemas/'),
    ('sandbox/b.c', '#include <jansson.h>\n', 'only in schemas/'),
    ('sandbox/b.h', '#include <cjson/cJSON.h>\n', 'stay out of headers'),
    ('consumers/d.c', '#include <seccomp.h>\n', 'only in sandbox/'),
    ('consumers/e.c', '#include <linux/seccomp.h>\n', ''),
    ('lib/log/e.c', '#include <curl/curl.h>\n', 'only in lib/http/'),
    ('consumers/f.c', '#include <microhttpd.h>\n', 'only in producers/gateway/'),
    ('lib/db/b.h', 'PGconn *of(struct db *db);\n', 'does not belong in a header'),
    *((f'lib/x/{name}.c', f'void f(void)\n{{\n    {name}(1);\n}}\n', f':3: {name}() is banned')
      for name in BANNED),
    ('sandbox/c.c', 'int f(void) { return fork(); }\n', ''),
    ('lib/x/fine.c', '/* system(x) */ const char *a = "popen(x)"; int b(void) { return s.rand(1) + '
                     'my_rand(2); } // gets(x)\n', ''),
)


def self_test():
    with tempfile.TemporaryDirectory() as root:
        for path, text, _ in PLANTED:
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), 'w', encoding='utf-8') as file:
                file.write(text)
        with open(os.path.join(root, 'lib/x/long.c'), 'w', encoding='utf-8') as file:
            file.write('\n' * 501)
        violations, warnings = check_tree(root)
    failed = 0
    for path, _, words in PLANTED:
        found = [v for v in violations if v.startswith(path + ':')]
        if (words and not any(words in v for v in found)) or (not words and found):
            print(f'{path}: wanted {words or "nothing"!r}, found {found}')
            failed = 1
    if warnings != ['lib/x/long.c: 501 lines: think about splitting it']:
        print(f'warnings: {warnings}')
        failed = 1
    return failed


def main():
    if sys.argv[1:] == ['--self-test']:
        return self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..', '..')
    violations, warnings = check_tree(root)
    for line in warnings:
        print(f'warning: {line}')
    for line in violations:
        print(line)
    return 1 if violations else 0


sys.exit(main())
