"""Builds an initramfs from files of this machine and boots it under qemu's software emulation. Knows nothing of what
is tested: cgroup_v2.py does. The kernel's console goes to a file, the guest's second serial port is the answer."""
import glob, os, re, stat, subprocess, sys

QEMU = "/usr/bin/qemu-system-x86_64"
APPLETS = ("sh mount mkdir cat sleep kill ls poweroff chroot grep wc rm find ps uname timeout dirname wait "
           "rmdir sort head tail sed umount").split()


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def kernel(top):
    """The newest unpacked image, or RUSTBOX_VM_KERNEL."""
    chosen = os.environ.get("RUSTBOX_VM_KERNEL")
    found = [chosen] if chosen else sorted(glob.glob(f"{top}/build/vm-kernel/boot/vmlinuz-*"))
    if not os.path.exists(QEMU):
        skip("no qemu: apt-get install --no-install-recommends qemu-system-x86")
    if not os.path.exists("/bin/busybox"):
        skip("no busybox: apt-get install busybox-static")
    if not found or not os.path.exists(found[-1]):
        skip("no kernel image: run tests/vm/fetch (downloads Debian's, installs nothing)")
    return found[-1]


class Tree:
    """Files of the guest under /tree, by their path there. Links are kept, with what they lead to."""

    def __init__(self):
        self.entries = {}  # path -> (mode, bytes)
        for name in ("proc", "sys", "dev", "run", "tmp", "root", "test"):
            self.folder(f"/{name}")
        for name in ("bin", "lib", "lib64", "sbin"):
            self.folder(f"/usr/{name}")
            self.entries[f"/{name}"] = (stat.S_IFLNK | 0o777, f"usr/{name}".encode())

    def folder(self, path):
        while path != "/" and path not in self.entries:
            self.entries[path] = (stat.S_IFDIR | 0o755, b"")
            path = os.path.dirname(path)

    def put(self, path, data, mode=0o755):
        path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        self.folder(os.path.dirname(path))
        self.entries[path] = (stat.S_IFREG | mode, data)

    def link(self, path, target):
        self.entries[path] = (stat.S_IFLNK | 0o777, target.encode())

    def host(self, path):
        """A file of this machine at its own place."""
        path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if path in self.entries:
            return
        self.folder(os.path.dirname(path))
        if os.path.islink(path):
            self.link(path, os.readlink(path))
            self.host(os.path.join(os.path.dirname(path), os.readlink(path)))
            return
        with open(path, "rb") as file:
            self.put(path, file.read(), os.stat(path).st_mode & 0o777)

    def program(self, source, path=None):
        """A program with the libraries it loads."""
        if path:
            with open(source, "rb") as file:
                self.put(path, file.read())
        else:
            self.host(source)
        loaded = subprocess.run(["/usr/bin/ldd", source], capture_output=True, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", loaded):
            self.host(library)

    def compiler(self, sources):
        """What compiles and links these C files, and no more."""
        parts, libraries = "/usr/lib/gcc/x86_64-linux-gnu/12", "/usr/lib/x86_64-linux-gnu"
        for program in ("x86_64-linux-gnu-gcc-12", "x86_64-linux-gnu-as", "x86_64-linux-gnu-ld",
                        "x86_64-linux-gnu-ld.bfd", "as", "ld"):
            self.program(f"/usr/bin/{program}")
        for name in ("cc1", "collect2", "lto-wrapper", "liblto_plugin.so"):
            self.program(f"{parts}/{name}")
        for name in ("crtbegin.o", "crtbeginS.o", "crtend.o", "crtendS.o", "libgcc.a", "libgcc_s.so"):
            self.host(f"{parts}/{name}")
        for name in ("crt1.o", "Scrt1.o", "crti.o", "crtn.o", "libc.so", "libc_nonshared.a", "libm.so", "libm.so.6",
                     "libmvec.so.1", "libc.so.6", "libgcc_s.so.1"):
            self.host(f"{libraries}/{name}")
        self.folder("/usr/include")
        for source in sources:
            rule = subprocess.run(["/usr/bin/gcc", "-O2", "-M", source], capture_output=True, text=True, check=True).stdout
            for header in rule.replace("\\\n", " ").split()[1:]:
                if header.startswith("/usr/"):
                    self.host(os.path.normpath(header))

    def write(self, path, init):
        """A cpio archive of the newc form, uncompressed: emulation unpacks slowly."""
        entries = {"tree": (stat.S_IFDIR | 0o755, b""), "init": (stat.S_IFREG | 0o755, init)}
        entries |= {f"tree{name}": what for name, what in sorted(self.entries.items())}
        entries["TRAILER!!!"] = (0, b"")
        with open(path, "wb") as out:
            for number, (name, (mode, data)) in enumerate(entries.items(), 1):
                fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
                head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
                out.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))


def boot(image, initramfs, folder, seconds):
    """The guest's answer and whether it powered off by itself."""
    answer, console = f"{folder}/answer", f"{folder}/console"
    command = [QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-machine", "pc",
               "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "768", "-kernel", image,
               "-initrd", initramfs, "-append", "console=ttyS0 panic=-1 mitigations=off loglevel=4",
               "-serial", f"file:{console}", "-serial", f"file:{answer}"]
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        ended = machine.wait(timeout=seconds) == 0
    except subprocess.TimeoutExpired:
        ended = False
    finally:
        if machine.poll() is None:
            machine.kill()
            machine.wait()
    texts = []
    for path in (answer, console):
        with open(path, encoding="utf-8", errors="replace") as file:
            texts.append(file.read().replace("\r", ""))
    return texts[0], texts[1], ended
