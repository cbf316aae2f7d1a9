import heapq
n, m = map(int, input().split())
graph = {i: [] for i in range(1, n + 1)}
for _ in range(m):
    a, b, w = map(int, input().split())
    graph[a].append((b, w))
    graph[b].append((a, w))
best, queue = {1: 0}, [(0, 1)]
while queue:
    d, v = heapq.heappop(queue)
    if d > best[v]:
        continue
    for u, w in graph[v]:
        if d + w < best.get(u, 10**9):
            best[u] = d + w
            heapq.heappush(queue, (d + w, u))
print(*(best[i] for i in range(1, n + 1)))
