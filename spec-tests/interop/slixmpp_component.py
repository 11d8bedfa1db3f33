"""A gateway made of slixmpp's ComponentXMPP, driven by a test through its standard input and output.

It answers service discovery as a gateway, grants subscriptions and says each message back to who sent it. On standard output, one JSON
object a line:
    {"connected": NAME}
    {"subscribed": JID}
    {"refused": CONDITION}              the server ended the stream with this error
The end of its standard input ends it.

Usage: slixmpp_component.py NAME PORT   (the secret is the first line of standard input)
"""

import asyncio
import json
import sys

import slixmpp


def say(**what):
    print(json.dumps(what), flush=True)


class Gateway(slixmpp.ComponentXMPP):
    def __init__(self, name, secret, port):
        super().__init__(name, secret, "127.0.0.1", port)
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self["xep_0030"].add_identity(category="gateway", itype="test", name="A test", jid=self.boundjid)
        self.auto_authorize = None
        self.add_event_handler("session_start", lambda _event: say(connected=name))
        self.add_event_handler("message", self.received)
        self.add_event_handler("presence_subscribe", self.asked)
        self.add_event_handler("stream_error", lambda error: say(refused=error["condition"]))

    def received(self, message):
        if message["type"] != "error" and message["body"]:
            message.reply(message["body"]).send()

    def asked(self, presence):
        self.send_presence(pto=presence["from"].bare, pfrom=presence["to"].bare, ptype="subscribed")
        self.send_presence(pto=presence["from"].bare, pfrom=presence["to"].bare, pstatus="at the gate")
        say(subscribed=presence["from"].bare)


async def main():
    name, port = sys.argv[1:]
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    secret = (await lines.readline()).decode().rstrip("\n")
    gateway = Gateway(name, secret, int(port))
    gateway.connect()
    while await lines.readline():
        pass
    await gateway.disconnect()


asyncio.run(main())
