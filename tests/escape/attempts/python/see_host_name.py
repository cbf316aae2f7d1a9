# escape: layers=uts
import os, socket, sys
if os.uname().nodename != "rustbox-sandbox" or socket.gethostname() != "rustbox-sandbox":
    print("ESCAPED")
    sys.exit(0)
sys.exit(1)
