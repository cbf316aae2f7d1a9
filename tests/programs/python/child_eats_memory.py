import subprocess, sys
subprocess.run([sys.executable, "-c", "x = [bytearray(1 << 20) for _ in range(2000)]"])
print("parent fine")
