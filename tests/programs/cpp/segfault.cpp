#include <cstring>
int main(int argc, char **) { std::memset(reinterpret_cast<void *>(argc * 8L), 0, 64); }
