x = bytearray(500 << 20)
print(len(x) >> 20)
