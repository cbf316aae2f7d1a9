int a[600000000] = {1, 2};
int main(void) { return a[5]; }
