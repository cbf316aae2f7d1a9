/* escape: layers=view */
int main(void)
{
    DIR *list = opendir("/../tmp");
    for (struct dirent *e; list && (e = readdir(list));)
        if (strstr("@DIR@", e->d_name) && strlen(e->d_name) > 8)
            escaped();
    return 1;
}
