/* escape: layers=view */
static void look(const char *dir)
{
    char path[4400];
    struct stat st;
    DIR *list = opendir(dir);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_ISUID | S_ISGID)))
            escaped();
    }
    if (list)
        closedir(list);
}

int main(void)
{
    static const char *const places[] = {"@DIR@",    "/bin",          "/sbin",   "/usr/bin",
                                         "/usr/sbin", "/usr/local/bin", "/usr/lib", "/box"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        look(places[i]);
        look(host(places[i]));
    }
    return 1;
}
