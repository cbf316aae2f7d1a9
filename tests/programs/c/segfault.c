int main(int argc, char **argv) { *(volatile int *)(long)(argc - 1) = 1; }
