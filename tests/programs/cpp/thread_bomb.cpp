#include <thread>
#include <unistd.h>
int main() { for (;;) std::thread([] { pause(); }).detach(); }
