"""A server of Negotiate and NTLM, by way of pyspnego."""

import base64

import spnego


class NTLMServer:
    """A server with the account "DOM\\\\me", whose password is "sesame", for one connection."""

    def __init__(self, scheme="Negotiate", offers=None):
        self.scheme = scheme
        self.offers = offers or [scheme]
        self.protocol = "ntlm" if scheme == "NTLM" else "negotiate"
        self.context = None
        self.rounds = 0

    def respond(self, method, path, value, body):
        if value is None:
            self.context = spnego.server(
                hostname="server.test", service="HTTP", protocol=self.protocol
            )
            return 401, [("WWW-Authenticate", offer) for offer in self.offers], b""
        scheme, _, text = value.partition(" ")
        assert scheme == self.scheme
        self.rounds += 1
        try:
            token = self.context.step(base64.b64decode(text, validate=True))
        except spnego.exceptions.SpnegoError:
            return 401, [("WWW-Authenticate", self.scheme)], b""
        word = "" if token is None else " " + base64.b64encode(token).decode()
        if self.context.complete:
            return 200, [("WWW-Authenticate", scheme + word)] if word else [], b"welcome"
        return 401, [("WWW-Authenticate", scheme + word)], b""
