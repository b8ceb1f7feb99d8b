#!/usr/bin/env python3
"""What a server does that is asked for four times as much as it can answer: latency of those it lets in, with and
without shedding.

    cargo build --release && python3 bench/overload.py --estd target/release/estd

The issuing CA has an RSA-4096 key, so that the server is at its end long before the clients are. Requests arrive at their
own times, whether earlier ones were answered or not (open loop), over kept-alive TLS 1.3 connections with a birth
certificate; the latency of each counts from when it was to be sent. Who is sent away does not come again. Listens and
connects on 127.0.0.1 only.
"""

import argparse
import asyncio
import os
import pathlib
import re
import ssl
import tempfile
import time

import end_to_end
from end_to_end import Server, make_pki, openssl

CONNECTIONS = 600
LIMITS = """
[limits]
max_connections_per_address = 10000
target_latency = "{target}"
"""


def make_rsa_issuer(folder):
    """The issuing CA anew, over an RSA-4096 key."""
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096", "-out", "issuing.key", folder=folder)
    (folder / "issuing.key").chmod(0o600)
    openssl("req", "-new", "-key", "issuing.key", "-subj", "/CN=Bench issuing", "-out", "issuing.csr", folder=folder)
    openssl("x509", "-req", "-in", "issuing.csr", "-CA", "root.pem", "-CAkey", "root.key", "-days", "3000", "-extfile",
            "issuing.ext", "-out", "issuing.pem", folder=folder)


class Clients:
    """So many connections; a request takes the one that is free longest, or waits for one."""

    def __init__(self, folder, url):
        self.host, self.port, path = re.fullmatch(r"https://([\d.]+):(\d+)(/.*)", url).groups()
        body = (folder / "request.b64").read_bytes()
        self.request = (f"POST {path}/simpleenroll HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/pkcs10\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        self.tls = ssl.create_default_context(cafile=folder / "root.pem")
        self.tls.check_hostname = False
        self.tls.load_cert_chain(folder / "client.pem")
        self.idle = asyncio.Queue()
        self.answers = []

    async def open(self, count):
        for _ in range(count):
            self.idle.put_nowait(await asyncio.open_connection(self.host, self.port, ssl=self.tls))

    async def ask(self, due):
        connection = await self.idle.get()
        reader, writer = connection
        writer.write(self.request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", head).group(1)))
        again = re.search(rb"Retry-After: (\d+)", head)
        self.answers.append((int(head[9:12]), time.monotonic() - due, again and int(again.group(1))))
        self.idle.put_nowait(connection)

    async def exhaust(self, connections, seconds):
        """How many a second are answered when so many connections ask without a pause."""
        await self.open(connections)
        end = time.monotonic() + seconds

        async def keep_asking():
            while time.monotonic() < end:
                await self.ask(time.monotonic())

        await asyncio.gather(*[keep_asking() for _ in range(connections)])
        return len(self.answers) / seconds

    async def run(self, rate, seconds):
        asked, start = [], time.monotonic()
        for number in range(int(rate * seconds)):
            due = start + number / rate
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            asked.append(asyncio.create_task(self.ask(due)))
        late = time.monotonic() - start - seconds
        await asyncio.gather(*asked)
        return late


def percentile(values, share):
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] * 1000


async def overload(server, folder, rate, seconds):
    clients = Clients(folder, server.url)
    await clients.open(CONNECTIONS)
    start = time.monotonic()
    late = await clients.run(rate, seconds)
    took = time.monotonic() - start
    if late > 1:
        print(f"the clients were behind by {late:.1f} s: the rate was lower than said")
    served = [latency for status, latency, _ in clients.answers if status == 200]
    shed = [(latency, again) for status, latency, again in clients.answers if status == 503]
    if len(served) + len(shed) < len(clients.answers) or not served:
        raise SystemExit("unexpected answers: " + str({status for status, _, _ in clients.answers}))
    told = f"{min(again for _, again in shed)} to {max(again for _, again in shed)}" if shed else "-"
    shed_p99 = f"{percentile([latency for latency, _ in shed], 0.99):.0f}" if shed else "-"
    return (f"{len(served) / took:.0f} | {percentile(served, 0.5):.0f} | {percentile(served, 0.99):.0f} | "
            f"{len(shed) / len(clients.answers):.0%} | {shed_p99} | {told}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--estd", default="target/release/estd")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--times", type=float, default=4, help="how often what can be answered")
    parser.add_argument("--targets", default="0s,1s,200ms", help="target_latency, one run each")
    arguments = parser.parse_args()
    config, rate = end_to_end.CONFIG, None
    for target in arguments.targets.split(","):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            make_pki(folder)
            make_rsa_issuer(folder)
            end_to_end.CONFIG = config + LIMITS.format(target=target)
            server = Server(os.path.abspath(arguments.estd), folder, "warn")
            try:
                if rate is None:
                    rate = asyncio.run(Clients(folder, server.url).exhaust(end_to_end.CONNECTIONS, 5))
                    print(f"can be answered: {rate:.0f} a second; asked for: {arguments.times:g} times that\n")
                    print("| target_latency | served a second | their latency, median (ms) | p99 (ms) | sent away | "
                          "p99 of that (ms) | Retry-After (s) |\n|---|---|---|---|---|---|---|")
                row = asyncio.run(overload(server, folder, rate * arguments.times, arguments.seconds))
                print(f"| {target} | {row} |", flush=True)
            finally:
                server.stop()


if __name__ == "__main__":
    main()
