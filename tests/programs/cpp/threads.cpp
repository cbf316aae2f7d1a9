#include <future>
#include <iostream>
#include <map>
#include <regex>
#include <thread>
int main()
{
    auto f = std::async(std::launch::async, [] { return 21; });
    std::map<int, int> m;
    std::thread t([&] { m[1] = 2; });
    t.join();
    std::cout << f.get() * m[1] << std::regex_match("abc1", std::regex("[a-z]+\\d")) << "\n";
}
