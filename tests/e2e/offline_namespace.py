"""Inside fresh network and mount namespaces: loopback up, a name server that has no route, then the given command."""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import tempfile

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    request = struct.pack("16sh14x", b"lo", 0)
    flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
    fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))

# A look-up must leave the machine to be counted; 192.0.2.1 is for documentation and routed nowhere.
with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as resolver:
    resolver.write("nameserver 192.0.2.1\noptions attempts:1 timeout:1\n")
subprocess.run(["mount", "--bind", resolver.name, "/etc/resolv.conf"], check=True)
os.unlink(resolver.name)
os.execvp(sys.argv[1], sys.argv[1:])
