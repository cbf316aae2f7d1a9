constexpr int f(int n) { while (true) n++; return n; }
constexpr int x = f(0);
int main() { return x; }
