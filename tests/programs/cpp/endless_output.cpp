#include <iostream>
int main() { for (;;) std::cerr << "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"; }
