# escape: layers=output cause=output_limit_exceeded
for _ in range(4):
    print("x" * (1 << 20))
print("ESCAPED")
