/* escape: layers=output cause=output_limit_exceeded */
int main(void)
{
    static char bytes[1 << 20];
    for (int i = 0; i < 32; i++)
        write(2, bytes, sizeof bytes);
    escaped();
}
