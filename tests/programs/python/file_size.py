open("/tmp/x", "wb").write(b"x" * (3 << 20))
