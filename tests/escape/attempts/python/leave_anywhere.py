# escape: layers=fresh runs=3
# In every directory that there is.
import os, sys
for where, _, files in os.walk("/"):
    if where.startswith("/proc"):
        continue
    if "left-anywhere" in files:
        print("ESCAPED")
        sys.exit(0)
    try:
        os.close(os.open(where + "/left-anywhere", os.O_CREAT | os.O_WRONLY, 0o644))
    except OSError:
        pass
sys.exit(1)
