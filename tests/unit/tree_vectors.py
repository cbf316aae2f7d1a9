#!/usr/bin/python3
"""The record-key tree of lib/crypto/crypto.h, written a second time: prints the vectors that
test_crypto.c holds. AES comes from the openssl command, so that not one line is shared."""
import hashlib
import subprocess
import sys
import uuid


def aes_256(key, blocks):
    return subprocess.run(['openssl', 'enc', '-aes-256-ecb', '-nopad', '-K', key.hex()],
                          input=blocks, stdout=subprocess.PIPE, check=True).stdout


def child(key, bit):
    return aes_256(key, bytes(15) + bytes([2 * bit]) + bytes(15) + bytes([2 * bit + 1]))


root = bytes(range(32))
path = hashlib.sha256(uuid.UUID(sys.argv[1]).bytes).digest()[:8]
leaf = root
for position in range(64):
    leaf = child(leaf, path[position // 8] >> (7 - position % 8) & 1)
print(f'path  {path.hex()}\nleft  {child(root, 0).hex()}\nright {child(root, 1).hex()}\nleaf  {leaf.hex()}')
