"""An HTTPS proxy that answers for deployed APIs.

A stack's outputs name https://{api}.execute-api.{region}.amazonaws.com. Clients that are told of this proxy (HTTPS_PROXY) and of
its certificate authority (SSL_CERT_FILE) call that very URL and reach the emulator instead. Every other host is refused: no test
may leave this machine.
"""

import asyncio
import datetime
import pathlib
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LIFETIME = datetime.timedelta(days=2)


def _name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _certificate(subject, key, issuer, issuer_key, extensions):
    """A certificate for `key`, signed with `issuer_key`."""
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(
        subject_name=_name(subject),
        issuer_name=_name(issuer),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        # Clocks of clients may be a little behind.
        not_valid_before=now - datetime.timedelta(hours=1),
        not_valid_after=now + LIFETIME,
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    return builder.sign(issuer_key, hashes.SHA256())


def _tls(folder, region):
    """The proxy's side of TLS. Writes the authority's certificate to folder/ca.pem."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    is_authority = x509.BasicConstraints(ca=True, path_length=None)
    authority = _certificate("test", authority_key, "test", authority_key, [(is_authority, True)])
    names = x509.SubjectAlternativeName([x509.DNSName(f"*.execute-api.{region}.amazonaws.com")])
    serves = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
    leaf = _certificate("execute-api", key, "test", authority_key, [(names, False), (serves, False)])
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "leaf.pem").write_bytes(private + leaf.public_bytes(pem))
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "leaf.pem")
    return context


async def _copy(source, sink):
    """Hands on what comes, until either side closes."""
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.close()


async def _serve(port, upstream_port, context):
    async def tunnel(reader, writer):
        request = await reader.readline()
        while (await reader.readline()).strip():
            pass
        method, _, rest = request.decode().partition(" ")
        if method != "CONNECT" or ".execute-api." not in rest:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()
        await writer.start_tls(context)
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", upstream_port)
        await asyncio.gather(_copy(reader, upstream_writer), _copy(upstream_reader, writer))

    async with await asyncio.start_server(tunnel, "127.0.0.1", port) as server:
        await server.serve_forever()


def start(port, upstream_port, folder, region):
    """Serves in the background, from `port` to `upstream_port`; the authority's certificate is in folder/ca.pem."""
    context = _tls(pathlib.Path(folder), region)
    threading.Thread(target=lambda: asyncio.run(_serve(port, upstream_port, context)), daemon=True).start()
