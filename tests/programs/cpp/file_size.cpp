#include <fstream>
#include <string>
int main()
{
    std::ofstream f("/tmp/x");
    std::string s(1 << 16, 97);
    for (int i = 0; i < 100; i++)
        f << s << std::flush;
}
