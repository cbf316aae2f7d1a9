/* The installation's secrets: files of 32 random bytes, made at installation. */
#include "lib/base/cleanup.h"
#include "lib/crypto/crypto.h"
#include "lib/keystore/keystore.h"
#include <fcntl.h>
#include <sys/stat.h>

int secret_load(const char *path, struct secret *out, struct err *err)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        return err_sys(err, ERR_CONFIG, "cannot read the secret %s (it is made at installation)",
                       path);
    if (!S_ISREG(st.st_mode) || (st.st_mode & 037))
        return err_set(err, ERR_CONFIG,
                       "the secret %s has mode %04o: others must have no rights to it (chmod 0600)",
                       path, st.st_mode & 07777u);
    struct secret secret;
    if (st.st_size != sizeof secret.bytes)
        return err_set(err, ERR_CONFIG, "the secret %s must be %zu bytes, it is %lld", path,
                       sizeof secret.bytes, (long long)st.st_size);
    if (read(fd, secret.bytes, sizeof secret.bytes) != sizeof secret.bytes)
        return err_sys(err, ERR_CONFIG, "cannot read the secret %s", path);
    *out = secret;
    wipe(&secret, sizeof secret);
    return 0;
}

void secret_of_project(const struct secret *master, const struct uuid *project, struct secret *out)
{
    const struct span parts[] = {SPAN_LIT("project"),
                                 span_of(project->bytes, sizeof project->bytes)};
    hmac_sha256_parts(span_of(master->bytes, sizeof master->bytes), parts, 2, out->bytes);
}
