# escape: layers=view
import sys
sys.path.insert(0, "/..@DIR@")
import importlib.machinery
try:
    importlib.machinery.SourceFileLoader("s", "/..@DIR@/secret").load_module()
except NameError as e:
    print(e)
except OSError as e:
    print("none")
import sys; sys.exit(1)
