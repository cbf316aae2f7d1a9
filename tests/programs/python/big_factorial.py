import math
print(math.factorial(300))
