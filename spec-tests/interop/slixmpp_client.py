"""One slixmpp client, driven by a test through its standard input and output.

Verifies the server's certificate, signs in by SCRAM alone, then says on standard output, one JSON object a line:
    {"signed_in": FULL_JID, "mechanism": NAME, "tls": VERSION}
    {"from": JID, "body": TEXT}         for each message
    {"failed": TEXT}                    and ends with status 1
Each line on standard input, {"to": JID, "body": TEXT}, is sent as a message; its end closes the stream.

Usage: slixmpp_client.py starttls|direct PORT JID CA_FILE   (the password is the first line of standard input)
"""

import asyncio
import json
import sys

import slixmpp


def say(**what):
    print(json.dumps(what), flush=True)


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, password, ca_file):
        # Only SCRAM without channel binding: the server must not get a password, and -PLUS is tested elsewhere.
        super().__init__(jid, password, plugin_config={
            "feature_mechanisms": {
                "unencrypted_plain": False,
                "encrypted_plain": False,
            },
        })
        self.ca_certs = ca_file
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("message", self.received)
        for event in ("failed_all_auth", "connection_failed", "ssl_invalid_chain", "ssl_cert_error"):
            self.add_event_handler(event, lambda why, event=event: self.failed(f"{event}: {why}"))
        self.add_event_handler("disconnected", lambda _event: self.over.set())
        self.over = asyncio.Event()
        self.status = 0

    def started(self, _event):
        tls = self.transport.get_extra_info("ssl_object")
        say(
            signed_in=self.boundjid.full,
            mechanism=self.plugin["feature_mechanisms"].mech.name,
            tls=tls.version(),
        )
        self.send_presence()
        # Kept, because asyncio itself does not keep it from being collected.
        self.obeying = asyncio.ensure_future(self.obey())

    async def obey(self):
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            order = json.loads(line)
            self.send_message(mto=order["to"], mbody=order["body"], mtype="chat")
        await self.disconnect()

    def received(self, message):
        if message["body"]:
            say(**{"from": message["from"].full, "body": message["body"]})

    def failed(self, why):
        say(failed=why)
        self.status = 1
        self.over.set()


async def main():
    how, port, jid, ca_file = sys.argv[1:]
    password = sys.stdin.readline().rstrip("\n")
    client = Client(jid, password, ca_file)
    client.enable_starttls = how == "starttls"
    client.enable_direct_tls = how == "direct"
    client.enable_plaintext = False
    client.connect("localhost", int(port))
    await client.over.wait()
    return client.status


sys.exit(asyncio.run(main()))
