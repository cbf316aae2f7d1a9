/* escape: layers=view */
#if __has_include("@DIR@/secret") || __has_include("/..@DIR@/secret")
int main()
{
    escaped();
}
#else
int main()
{
    return 1;
}
#endif
