/* escape: layers=seccomp,uid,caps runs=3 */
/* Into the user's keyring, for five seconds: 10 = search, 15 = set the timeout, -4 = that keyring. */
int main(void)
{
    long key = syscall(SYS_keyctl, 10, -4, "user", "@NAME@", 0);
    if (key > 0)
        escaped();
    key = syscall(SYS_add_key, "user", "@NAME@", "left", 4, -4);
    if (key > 0)
        syscall(SYS_keyctl, 15, key, 5);
    return 1;
}
