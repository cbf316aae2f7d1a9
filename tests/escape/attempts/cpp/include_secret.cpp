/* escape: layers=view cause=compile_error */
#include "/..@DIR@/secret"
int main() { return 0; }
