#include <string>
#include <vector>
int main() { std::vector<std::string> v; for (;;) v.push_back(std::string(1 << 16, 120)); }
