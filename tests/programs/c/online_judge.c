#include <stdio.h>
#ifndef ONLINE_JUDGE
#error not defined
#endif
int main(void) { puts("judged"); }
