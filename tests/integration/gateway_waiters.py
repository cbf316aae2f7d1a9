"""Many clients that wait at once: one thread, one epoll, many source addresses.

Used by gateway_pipeline.py. Opens connections that POST /api/submit?wait=true, keeps what each was
answered, and closes those that it is told to. Never retries: what a client is told once is what counts."""
import errno
import resource
import select
import socket
import time

PER_ADDRESS = 2000  # a source address has some 28,000 ports; stay far below


class Waiters:
    def __init__(self, port, key, count):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < count + 200:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 200), hard))
        self.epoll = select.epoll()
        self.open, self.text, self.status = {}, {}, {}
        self.broken = 0
        body = b'{"language":"python","code":"pass"}'
        self.request = (f"POST /api/submit?wait=true HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n"
                        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body
        for number in range(count):
            sock = socket.socket()
            sock.bind((f"127.0.0.{2 + number // PER_ADDRESS}", 0))
            sock.settimeout(10)
            sock.connect(("127.0.0.1", port))
            sock.sendall(self.request)
            sock.setblocking(False)
            self.open[sock.fileno()] = sock
            self.text[sock.fileno()] = b""
            self.epoll.register(sock.fileno(), select.EPOLLIN)

    def leave(self, count):
        """Closes so many that were not answered yet, the last of them; returns how many there were."""
        left = [fd for fd in self.open if fd not in self.status][-count:]
        for fd in left:
            self.epoll.unregister(fd)
            self.open.pop(fd).close()
        return len(left)

    def unanswered(self):
        return len(self.open) - len(self.status)

    def read(self, seconds):
        """Reads answers until all came or the time is over."""
        end = time.monotonic() + seconds
        while self.unanswered() and time.monotonic() < end:
            for fd, _ in self.epoll.poll(min(0.2, max(0, end - time.monotonic()))):
                self._read_one(fd)

    def _read_one(self, fd):
        try:
            data = self.open[fd].recv(65536)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return
            data = b""
        self.text[fd] += data
        if b"\r\n\r\n" in self.text[fd] or not data:
            self.broken += not self.text[fd]
            self.status[fd] = int(self.text[fd][9:12] or 0)
            self.epoll.unregister(fd)

    def counts(self):
        found = {}
        for status in self.status.values():
            found[status] = found.get(status, 0) + 1
        return found

    def close(self):
        for sock in self.open.values():
            sock.close()
        self.epoll.close()
