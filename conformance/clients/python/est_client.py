"""An EST client (RFC 7030) in the standard library: prints the DER of the certs-only answer; a key goes to a file."""

import argparse
import base64
import email
import http.client
import socket
import ssl
import subprocess
import sys
import tempfile
import urllib.parse


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="https://HOST:PORT/.well-known/est[/LABEL]/OPERATION")
    parser.add_argument("--anchor", required=True, help="PEM of the CA of the server's certificate")
    parser.add_argument("--request", help="PKCS#10 request, DER")
    parser.add_argument("--certificate", help="client certificate and chain, PEM")
    parser.add_argument("--key", help="its private key, PEM")
    parser.add_argument("--key-out", help="where the private key goes that the server made, DER")
    parser.add_argument("--link-key", help="PEM of a key: the request is made with it, linked to its connection (TLS 1.2)")
    parser.add_argument("--subject", help="subject of that request, as openssl writes it")
    parser.add_argument("--resumed", action="store_true", help="link the request to a resumed connection")
    parser.add_argument("--replayed", action="store_true", help="link the request to another connection")
    arguments = parser.parse_args()

    context = ssl.create_default_context(cafile=arguments.anchor)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if arguments.certificate:
        context.load_cert_chain(arguments.certificate, arguments.key)

    url = urllib.parse.urlsplit(arguments.url)
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=20)
    if arguments.link_key:
        # RFC 5929: TLS 1.3 has no tls-unique, and this library no exporter.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        earlier = connected(context, url, None)
        connection.sock = connected(context, url, earlier.session if arguments.resumed else None)
        if connection.sock.session_reused != arguments.resumed:
            print("the session is not what it should be", file=sys.stderr)
            return 1
        bound = earlier if arguments.replayed else connection.sock
        binding = base64.b64encode(bound.get_channel_binding("tls-unique")).decode()
        body = base64.encodebytes(linked(arguments.link_key, arguments.subject, binding))
        connection.request("POST", url.path, body, {"Content-Type": "application/pkcs10"})
        earlier.close()
    elif arguments.request:
        with open(arguments.request, "rb") as file:
            body = base64.encodebytes(file.read())
        connection.request("POST", url.path, body, {"Content-Type": "application/pkcs10"})
    else:
        connection.request("GET", url.path)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        print(f"status {response.status}: {body.decode(errors='replace')}", file=sys.stderr)
        return 1
    if arguments.key_out:
        return generated(response.headers["Content-Type"], body, arguments.key_out)
    if response.headers.get_content_type() != "application/pkcs7-mime":
        print(f"unexpected Content-Type {response.headers['Content-Type']}", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(base64.b64decode(body, validate=False))
    return 0


def connected(context: ssl.SSLContext, url: urllib.parse.SplitResult, session: ssl.SSLSession | None) -> ssl.SSLSocket:
    plain = socket.create_connection((url.hostname, url.port), timeout=20)
    return context.wrap_socket(plain, server_hostname=url.hostname, session=session)


def linked(key: str, subject: str, binding: str) -> bytes:
    # With -subj, openssl leaves the attributes out.
    name = subject.strip("/").replace("/", "\n")
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as configuration:
        configuration.write(
            f"[req]\nprompt = no\ndistinguished_name = name\nattributes = attributes\n[name]\n{name}\n"
            f"[attributes]\nchallengePassword = {binding}\n"
        )
        configuration.flush()
        command = ["openssl", "req", "-new", "-key", key, "-config", configuration.name, "-outform", "DER"]
        return subprocess.run(command, check=True, capture_output=True).stdout


def generated(content_type: str, body: bytes, key_out: str) -> int:
    message = email.message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    types = [part.get_content_type() for part in message.get_payload()] if message.is_multipart() else []
    if types != ["application/pkcs8", "application/pkcs7-mime"] or message.defects:
        print(f"unexpected parts {types} {message.defects}", file=sys.stderr)
        return 1
    key, certificate = (part.get_payload(decode=True) for part in message.get_payload())
    with open(key_out, "wb") as file:
        file.write(key)
    sys.stdout.buffer.write(certificate)
    return 0


if __name__ == "__main__":
    sys.exit(main())
