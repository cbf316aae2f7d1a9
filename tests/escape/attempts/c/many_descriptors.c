/* escape: layers=rlimits */
int main(void)
{
    for (int i = 0; i < 100; i++)
        if (dup(0) < 0)
            return 1;
    escaped();
}
