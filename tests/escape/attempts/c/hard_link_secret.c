/* escape: layers=view */
int main(void)
{
    int dir = open("/..@DIR@", O_PATH | O_DIRECTORY);
    if (dir < 0)
        return 1;
    if (faccessat(dir, "secret", R_OK, 0) == 0)
        escaped();
    return 1;
}
