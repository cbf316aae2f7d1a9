# escape: layers=view
try:
    print(open("/..@DIR@/secret").read())
except OSError as e:
    print(e)
import sys; sys.exit(1)
