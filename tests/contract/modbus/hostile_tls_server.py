"""A TLS server that never says anything: after the handshake it sends key updates, as fast as it is read.

Python's ssl module cannot send them, so OpenSSL is called. Run as a process: ``python hostile_tls_server.py CERTIFICATE
KEY [reads]``; prints its port. With ``reads`` it takes what the client answers, without it does not.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import socket
import sys

UPDATE_AND_ASK_FOR_ONE, BURST = 1, 4096


def openssl() -> ctypes.CDLL:
    """The library, with what is used of it declared."""
    library = ctypes.CDLL(ctypes.util.find_library("ssl") or "libssl.so.3")
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("TLS_server_method", pointer, []),
        ("SSL_CTX_new", pointer, [pointer]),
        ("SSL_CTX_use_certificate_chain_file", number, [pointer, text]),
        ("SSL_CTX_use_PrivateKey_file", number, [pointer, text, number]),
        ("SSL_new", pointer, [pointer]),
        ("SSL_set_fd", number, [pointer, number]),
        ("SSL_accept", number, [pointer]),
        ("SSL_key_update", number, [pointer, number]),
        ("SSL_do_handshake", number, [pointer]),
        ("SSL_read", number, [pointer, ctypes.c_char_p, number]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def flood(library: ctypes.CDLL, context: int, peer: socket.socket, *, reads: bool) -> int:
    """Key updates until the client has had enough; how many."""
    ssl, room, sent = library.SSL_new(context), ctypes.create_string_buffer(16384), 0
    library.SSL_set_fd(ssl, peer.fileno())
    if library.SSL_accept(ssl) != 1:
        return 0
    while library.SSL_key_update(ssl, UPDATE_AND_ASK_FOR_ONE) == 1 and library.SSL_do_handshake(ssl) == 1:
        sent += 1
        if reads and sent % BURST == 0:
            peer.setblocking(False)
            library.SSL_read(ssl, room, len(room))
            peer.setblocking(True)
    return sent


def main() -> None:
    """Serve one connection after the other, for ever."""
    library = openssl()
    context = library.SSL_CTX_new(library.TLS_server_method())
    certificate, key = (path.encode() for path in sys.argv[1:3])
    if library.SSL_CTX_use_certificate_chain_file(context, certificate) != 1:
        raise SystemExit("certificate")
    if library.SSL_CTX_use_PrivateKey_file(context, key, 1) != 1:
        raise SystemExit("key")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            peer, _ = listener.accept()
            with peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sys.stdout.write(f"{flood(library, context, peer, reads='reads' in sys.argv)}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
