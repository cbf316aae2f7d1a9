/* escape: layers=landlock,readonly,uid abi=2 */
int main(void)
{
    if (mkdir("/escape", 0700) == 0) {
        rmdir("/escape");
        escaped();
    }
    return 1;
}
