#include <iostream>
int main()
{
    long n, x, s = 0;
    std::cin >> n;
    while (std::cin >> x)
        s += x;
    std::cout << s << "\n";
}
