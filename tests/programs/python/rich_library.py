import asyncio, collections, dataclasses, decimal, fractions, functools, hashlib, itertools, json
import multiprocessing, os, random, re, statistics, subprocess, sys, tempfile, threading, zlib

async def wait(n):
    await asyncio.sleep(0.001)
    return n

@dataclasses.dataclass
class Point:
    x: int
    y: int = 2

def square(n):
    return n * n

if __name__ == "__main__":
    async def both():
        return await asyncio.gather(wait(1), wait(2))
    print(asyncio.run(both()))
    with multiprocessing.Pool(2) as pool:
        print(pool.map(square, range(5)))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x")
        with open(path, "w") as file:
            file.write("text")
        os.rename(path, path + "2")
        print(os.listdir(folder), os.stat(path + "2").st_size)
    results = []
    threads = [threading.Thread(target=results.append, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    print(sorted(results))
    child = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True)
    print(child.stdout.strip())
    print(hashlib.sha256(b"x").hexdigest()[:8], zlib.crc32(b"x"), json.dumps({"a": [1, None]}))
    print(decimal.Decimal(1) / 8, fractions.Fraction(1, 3), Point(1), statistics.median([3, 1, 2]))
