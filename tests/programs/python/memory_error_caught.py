import resource
blocks = []
try:
    while True:
        blocks.append("x" * (4 << 20))
except MemoryError:
    print("caught")
