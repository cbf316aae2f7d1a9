import sys
sys.stdout.buffer.write(b"a\x00b\xff\xfe\xc3(\x80z\n")
