def sort(a):
    if len(a) < 2:
        return a
    m = len(a) // 2
    x, y, out = sort(a[:m]), sort(a[m:]), []
    while x and y:
        out.append(x.pop(0) if x[0] <= y[0] else y.pop(0))
    return out + x + y
input()
print(*sort(list(map(int, input().split()))))
