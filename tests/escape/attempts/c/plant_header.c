/* escape: layers=fresh runs=3 */
#if __has_include("/dev/shm/left.h") || __has_include("/tmp/left.h")
int main(void)
{
    escaped(); /* the compiler of a later job found what an earlier one left */
}
#else
int main(void)
{
    close(open("/dev/shm/left.h", O_CREAT | O_WRONLY, 0644));
    close(open("/tmp/left.h", O_CREAT | O_WRONLY, 0644));
    return 1;
}
#endif
