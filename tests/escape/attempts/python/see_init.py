# escape: layers=hidepid
import os
if os.path.exists("/proc/1/status"):
    print("ESCAPED")
import sys; sys.exit(1)
