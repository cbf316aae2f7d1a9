import sys
from collections import Counter
for word, n in sorted(Counter(sys.stdin.read().split()).items(), key=lambda x: (-x[1], x[0])):
    print(word, n)
