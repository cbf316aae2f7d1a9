#include <iostream>
#include <queue>
#include <vector>
int main()
{
    int n, m;
    std::cin >> n >> m;
    std::vector<std::vector<std::pair<int, int>>> g(n + 1);
    for (int a, b, w; m-- && std::cin >> a >> b >> w;) {
        g[a].push_back({b, w});
        g[b].push_back({a, w});
    }
    std::vector<int> d(n + 1, 1 << 30);
    std::priority_queue<std::pair<int, int>> q;
    q.push({0, 1});
    d[1] = 0;
    while (!q.empty()) {
        auto [c, v] = q.top();
        q.pop();
        if (-c > d[v]) continue;
        for (auto [u, w] : g[v])
            if (d[v] + w < d[u]) {
                d[u] = d[v] + w;
                q.push({-d[u], u});
            }
    }
    for (int i = 1; i <= n; i++)
        std::cout << d[i] << (i < n ? ' ' : '\n');
}
