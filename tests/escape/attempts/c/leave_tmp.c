/* escape: layers=fresh runs=3 */
int main(void)
{
    if (access("/tmp/left", F_OK) == 0)
        escaped();
    close(open("/tmp/left", O_CREAT | O_WRONLY, 0644));
    return 1;
}
