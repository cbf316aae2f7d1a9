/* escape: layers=output cause=output_limit_exceeded */
int main(void)
{
    static char bytes[1 << 20];
    memset(bytes, 'x', sizeof bytes);
    for (int i = 0; i < 4; i++)
        write(1, bytes, sizeof bytes);
    escaped();
}
