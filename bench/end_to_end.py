#!/usr/bin/env python3
"""Server CPU per enrollment, end to end: ab (apache2-utils) with a client certificate against the built estd.

    cargo build --release && python3 bench/end_to_end.py --estd target/release/estd

All P-256, every enrollment signed anew (repeat_window = "0s") and durable, 32 connections; kept alive and with a fresh
TLS 1.3 mTLS handshake each. CPU is user + system time of the server process, from /proc. Listens and connects on
127.0.0.1 only.
"""

import argparse
import base64
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

CONNECTIONS = 32
TICKS = os.sysconf("SC_CLK_TCK")


def openssl(*arguments, folder):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_pki(folder):
    """An issuing CA under a root, a manufacturer's CA, a device with a birth certificate, a request."""

    def key(name):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key", folder=folder)
        (folder / f"{name}.key").chmod(0o600)

    ca = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    for name in ["root", "birth-ca"]:
        key(name)
        openssl("req", "-x509", "-new", "-key", f"{name}.key", "-subj", f"/CN=Bench {name}", "-days", "3650", *ca,
                "-out", f"{name}.pem", folder=folder)
    for name, issuer, extensions in [
        ("issuing", "root", "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"
                            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"),
        ("device", "birth-ca", "keyUsage=critical,digitalSignature\nauthorityKeyIdentifier=keyid\n"),
    ]:
        key(name)
        (folder / f"{name}.ext").write_text(extensions)
        openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN=Bench {name}/serialNumber=BENCH-{name}",
                "-out", f"{name}.csr", folder=folder)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-days", "3000",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem", folder=folder)
    key("operational")
    openssl("req", "-new", "-key", "operational.key", "-subj", "/", "-outform", "DER", "-out", "request.der", folder=folder)
    (folder / "request.b64").write_bytes(base64.encodebytes((folder / "request.der").read_bytes()))
    bundle = (folder / "device.pem").read_text() + (folder / "device.key").read_text()
    (folder / "client.pem").write_text(bundle)


CONFIG = """
[server]
listen = ["127.0.0.1:0"]
status_listen = "127.0.0.1:0"
data_dir = "data"
default_label = "devices"
[server.tls]
issued_by = "bench/issuing"
names = ["localhost", "127.0.0.1"]
[log]
level = "{level}"
[[tenant]]
name = "bench"
[[tenant.authority]]
name = "issuing"
certificate = "issuing.pem"
key = "issuing.key"
chain = ["root.pem"]
[[tenant.profile]]
name = "device"
validity = "365d"
subject = ["CN={{device_id}}"]
[[tenant.label]]
name = "devices"
authority = "issuing"
profile = "device"
birth_anchors = ["birth-ca.pem"]
identity = "subject-serial-number"
repeat_window = "0s"
"""


class Server:
    def __init__(self, estd, folder, level):
        (folder / "config.toml").write_text(CONFIG.format(level=level))
        self.log = open(folder / "estd.log", "wb")
        self.process = subprocess.Popen([estd, "serve", "--config", folder / "config.toml"], stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        self.url = None
        deadline = time.monotonic() + 20
        while self.url is None and time.monotonic() < deadline:
            line = self.process.stdout.readline()
            match = re.search(r"https://[\d.]+:\d+/\.well-known/est", line)
            self.url = match and match.group(0)
        if self.url is None:
            raise SystemExit("the server did not start: " + (folder / "estd.log").read_text())

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_megabytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


def load(server, folder, requests, keep_alive):
    command = ["ab", "-q", "-n", str(requests), "-c", str(CONNECTIONS), "-E", str(folder / "client.pem"), "-p",
               str(folder / "request.b64"), "-T", "application/pkcs10", "-f", "TLS1.3"]
    command += ["-k"] if keep_alive else []
    before = server.cpu_seconds()
    result = subprocess.run([*command, f"{server.url}/simpleenroll"], capture_output=True, text=True, timeout=900)
    spent = server.cpu_seconds() - before
    text = result.stdout
    completed = int(re.search(r"Complete requests:\s+(\d+)", text).group(1))
    refused = re.search(r"Non-2xx responses:\s+(\d+)", text)
    if refused:
        raise SystemExit(f"{refused.group(1)} of {completed} requests were refused\n{text}")
    rate = float(re.search(r"Requests per second:\s+([\d.]+)", text).group(1))
    return spent / completed * 1e6, rate


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--estd", default="target/release/estd")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--resident-after", type=int, default=100_000, help="enrollments before RSS is read; 0 to skip")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_pki(folder)
        server = Server(os.path.abspath(arguments.estd), folder, arguments.log_level)
        try:
            done = 0
            print("| connections | CPU per enrollment (us): each round, median | enrollments/s (median) |\n|---|---|---|")
            for title, keep_alive, requests in [("kept alive", True, arguments.requests),
                                                ("fresh TLS 1.3 mTLS", False, arguments.requests // 4)]:
                rounds = [load(server, folder, requests, keep_alive) for _ in range(arguments.rounds)]
                done += requests * arguments.rounds
                cpu = sorted(cost for cost, _ in rounds)
                rate = sorted(rate for _, rate in rounds)[len(rounds) // 2]
                shown = ", ".join(f"{cost:.0f}" for cost in cpu)
                print(f"| {title} | {shown}; **{cpu[len(cpu) // 2]:.0f}** | {rate:.0f} |")
            if arguments.resident_after:
                load(server, folder, max(arguments.resident_after - done, CONNECTIONS), True)
                print(f"\nRSS after {max(arguments.resident_after, done)} enrollments: {server.resident_megabytes():.1f} MB")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
