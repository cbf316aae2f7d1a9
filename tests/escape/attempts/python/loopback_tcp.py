# escape: layers=network,seccomp
import socket
try:
    socket.create_connection(("127.0.0.1", @PORT@), 2)
except OSError as e:
    print(e)
import sys; sys.exit(1)
