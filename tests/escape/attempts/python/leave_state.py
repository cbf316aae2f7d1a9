# escape: layers=always runs=3
# In the interpreter, which forks of a template have from the same parent.
import builtins, ctypes, os, random, sys
found = [hasattr(builtins, "left"), "left" in sys.modules, "LEFT" in os.environ, len.__doc__ is None,
         getattr(random, "left", False), os.getcwd() != "/tmp", sys.getrecursionlimit() == 4321]
if any(found):
    print("ESCAPED", found)
    sys.exit(0)
builtins.left = sys.modules["left"] = random
random.left = True
os.environ["LEFT"] = "1"
sys.setrecursionlimit(4321)
os.chdir("/")
ctypes.memset(id(len) + 16, 0, 0)
sys.exit(1)
