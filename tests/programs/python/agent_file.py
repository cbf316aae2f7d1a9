open("/tmp/x", "wb").write(b"x" * (10 << 20))
print("fine")
