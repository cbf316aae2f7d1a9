# escape: layers=env
import os, sys
print(open("/proc/self/environ").read())
if set(os.environ) - {"PATH", "HOME", "LANG"}:
    print("ESCAPED")
    sys.exit(0)
sys.exit(1)
