#include <iostream>
#include <queue>
#include <string>
#include <vector>
int main()
{
    int r, c;
    std::cin >> r >> c;
    std::vector<std::string> g(r);
    for (auto &s : g) std::cin >> s;
    std::vector<std::vector<int>> d(r, std::vector<int>(c, -1));
    std::queue<std::pair<int, int>> q;
    q.push({0, 0});
    d[0][0] = 0;
    while (!q.empty()) {
        auto [y, x] = q.front();
        q.pop();
        if (g[y][x] == 'E') { std::cout << d[y][x] << "\n"; return 0; }
        const int dy[] = {1, -1, 0, 0}, dx[] = {0, 0, 1, -1};
        for (int k = 0; k < 4; k++) {
            int v = y + dy[k], u = x + dx[k];
            if (v >= 0 && v < r && u >= 0 && u < c && g[v][u] != '#' && d[v][u] < 0) {
                d[v][u] = d[y][x] + 1;
                q.push({v, u});
            }
        }
    }
}
