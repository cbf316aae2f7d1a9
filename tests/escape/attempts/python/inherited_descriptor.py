# escape: layers=fds,rlimits
import os
for fd in range(3, 256):
    try:
        os.fstat(fd)
        print("ESCAPED")
        break
    except OSError:
        pass
import sys; sys.exit(1)
