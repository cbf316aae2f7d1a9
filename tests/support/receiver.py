#!/usr/bin/python3
"""A receiver of webhooks for tests: as many misbehaviours as paths, five certificates, a name server.

    receiver.py DIR [--bodies]

Makes certificates in DIR (ca.pem and others), listens on free ports of 127.0.0.1, writes them to DIR/ports.json when
all are open, and a line for each complete request to DIR/log.tsv: time, path, webhook-id, webhook-timestamp,
webhook-signature, SHA-256 of the body (--bodies: the body in base64 after it). Ends with its standard input.
Ports: http, https, expired, selfsigned, wronghost (TLS with that certificate), dns (UDP and TCP).
"""
import asyncio
import base64
import functools
import gzip
import hashlib
import json
import os
import ssl
import struct
import subprocess
import sys
import time
from email.utils import formatdate

DIR = sys.argv[1]
BODIES = "--bodies" in sys.argv
log = open(os.path.join(DIR, "log.tsv"), "a", buffering=1)
dns_asked = {}


# ---- certificates ----
def openssl(*args):
    subprocess.run(["/usr/bin/openssl", *args], check=True, cwd=DIR, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificate(name, names, issuer, begin=None, end=None):
    with open(os.path.join(DIR, name + ".cnf"), "w") as file:
        file.write(f"[req]\ndistinguished_name=dn\n[dn]\n[ext]\nsubjectAltName={names}\n"
                   "[ca]\ndefault_ca=here\n[here]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n"
                   "policy=any\nunique_subject=no\nrand_serial=yes\n[any]\ncommonName=optional\n")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key",
            "-out", name + ".csr", "-subj", "/CN=" + name, "-config", name + ".cnf")
    if not issuer:
        openssl("x509", "-req", "-in", name + ".csr", "-signkey", name + ".key", "-days", "10", "-out", name + ".pem",
                "-extfile", name + ".cnf", "-extensions", "ext")
        return
    openssl("ca", "-batch", "-notext", "-config", name + ".cnf", "-extensions", "ext", "-in", name + ".csr", "-out", name + ".pem",
            "-cert", issuer + ".pem", "-keyfile", issuer + ".key", *(["-startdate", begin, "-enddate", end] if begin else ["-days", "10"]))


def make_certificates():
    if os.path.exists(os.path.join(DIR, "ca.pem")):
        return
    open(os.path.join(DIR, "index.txt"), "w").close()
    with open(os.path.join(DIR, "root.cnf"), "w") as file:
        file.write("[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\nbasicConstraints=critical,CA:TRUE\n")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out",
            "ca.pem", "-days", "10", "-subj", "/CN=ca", "-config", "root.cnf")
    good = "DNS:localhost,DNS:*.good.test,DNS:good.test,IP:127.0.0.1"
    certificate("https", good, "ca")
    certificate("expired", good, "ca", "20200101000000Z", "20200201000000Z")
    certificate("selfsigned", good, None)
    certificate("wronghost", "DNS:elsewhere.test", "ca")


# ---- HTTP ----
def note(path, headers, body):
    row = [f"{time.time():.6f}", path, headers.get("webhook-id", ""), headers.get("webhook-timestamp", ""),
           headers.get("webhook-signature", ""), hashlib.sha256(body).hexdigest()]
    if BODIES:
        row.append(base64.b64encode(body).decode())
    log.write("\t".join(row) + "\n")


def answer(status, *headers, body=b"ok"):
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def push(writer, data):
    if writer.is_closing():
        raise ConnectionError
    writer.write(data)
    await writer.drain()
    await asyncio.sleep(0)


@functools.lru_cache
def bomb():
    return gzip.compress(gzip.compress(b"\0" * (64 << 20)))


async def misbehave(path, writer):
    """Answers one request; False: the connection is to be closed."""
    word, _, rest = path.strip("/").partition("/")
    number = rest.split("/")[0]
    if word == "status":
        writer.write(answer(number))
    elif word == "retry-after":
        writer.write(answer(429, "Retry-After: " + number))
    elif word == "retry-date":
        writer.write(answer(503, "Retry-After: " + formatdate(time.time() + int(number), usegmt=True)))
    elif word == "redirect":
        writer.write(answer(302, "Location: /followed"))
    elif word == "redirect-success": # an Ok status with a Location
        writer.write(answer(200, "Location: http://169.254.169.254/"))
    elif word == "hang":
        await asyncio.sleep(3600)
    elif word == "slow":
        await asyncio.sleep(int(number) / 1000)
        writer.write(answer(200))
    elif word == "drip-head":
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 3600:
            await push(writer, bytes([byte]))
            await asyncio.sleep(1)
    elif word == "drip-body":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3600\r\n\r\n")
        for _ in range(3600):
            await push(writer, b"x")
            await asyncio.sleep(1)
    elif word == "endless-head":
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            await push(writer, b"X-Filler: " + b"y" * 900 + b"\r\n")
    elif word == "endless-line":
        writer.write(b"HTTP/1.1 200 OK\r\nX-Filler: ")
        while True:
            await push(writer, b"y" * 4096)
    elif word == "endless-interim":
        while True:
            await push(writer, b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n")
    elif word == "endless-body":
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" if number != "500" else b"HTTP/1.1 500 No\r\n\r\n")
        while True:
            await push(writer, b"z" * 65536)
    elif word == "endless-chunks":
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await push(writer, b"1\r\nz\r\n" * 500)
    elif word == "gzip-bomb":
        writer.write(answer(200, "Content-Encoding: gzip, gzip", body=bomb()))
    elif word == "close":
        return False
    elif word == "half":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
        return False
    elif word == "garbage":
        writer.write(b"\x00\xff SSH-2.0-nothing of HTTP\r\n\r\n")
        return False
    elif word == "http09":
        writer.write(b"<html>hello</html>")
        return False
    else:
        writer.write(answer(200))
    return True


async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:]) if k}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            path = head[0].split(" ")[1]
            if not path.startswith("/quiet"):
                note(path, headers, body)
            if not await misbehave(path, writer):
                await writer.drain()
                return
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, OSError, ValueError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


# ---- a name server: what a name answers depends on its first label and on how often it was asked ----
def addresses(name, times):
    label = name.split(".")[0]
    return {"good": ["127.0.0.1"], "private": ["10.0.0.1"], "metadata": ["169.254.169.254"], "none": [],
            "mixed": ["127.0.0.1", "10.0.0.1"], "mixed6": ["127.0.0.1", "::ffff:10.0.0.1"], "six": ["fd00::1"],
            "many": [f"127.0.0.{n}" for n in range(1, 20)], "nat64": ["64:ff9b::a00:1"],
            "rebind": ["127.0.0.1"] if times <= 1 else ["10.0.0.1"]}.get(label)


def dns_reply(query):
    ident, flags, _, _, _, _ = struct.unpack(">6H", query[:12])
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1").lower())
        at += 1 + query[at]
    kind = struct.unpack(">H", query[at + 1:at + 3])[0]
    question, name = query[12:at + 5], ".".join(labels)
    if labels[0] == "silent":
        return None
    if kind == 1:
        dns_asked[name] = dns_asked.get(name, 0) + 1
    found = addresses(name, dns_asked.get(name, 1))
    if found is None:
        return struct.pack(">6H", ident, 0x8583, 1, 0, 0, 0) + question
    import socket
    rows = [socket.inet_pton(socket.AF_INET6, a) if ":" in a else socket.inet_aton(a)
            for a in found if (":" in a) == (kind == 28)] if kind in (1, 28) else []
    body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(row)) + row for row in rows)
    return struct.pack(">6H", ident, 0x8580, 1, len(rows), 0, 0) + question + body


class Names(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        reply = dns_reply(data)
        if reply:
            self.transport.sendto(reply, peer)


async def main():
    make_certificates()
    loop, ports = asyncio.get_running_loop(), {}
    for name in ("http", "https", "expired", "selfsigned", "wronghost"):
        context = None
        if name != "http":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(os.path.join(DIR, name + ".pem"), os.path.join(DIR, name + ".key"))
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, backlog=1024, limit=1 << 20)
        ports[name] = server.sockets[0].getsockname()[1]
    names, _ = await loop.create_datagram_endpoint(Names, local_addr=("127.0.0.1", 0))
    ports["dns"] = names.get_extra_info("sockname")[1]
    mute = await asyncio.start_server(lambda reader, writer: asyncio.sleep(3600), "127.0.0.1", 0)
    ports["mute"] = mute.sockets[0].getsockname()[1] # accepts and says nothing, not even a handshake
    with open(os.path.join(DIR, "ports.json.new"), "w") as file:
        json.dump(ports, file)
    os.rename(os.path.join(DIR, "ports.json.new"), os.path.join(DIR, "ports.json"))
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(), debug=False)
    os._exit(0)
