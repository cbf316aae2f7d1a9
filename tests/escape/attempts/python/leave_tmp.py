# escape: layers=fresh runs=3
import os, sys
for place in ("/tmp/left", "/dev/shm/left"):
    if os.path.exists(place):
        print("ESCAPED")
        sys.exit(0)
    open(place, "w").close()
sys.exit(1)
