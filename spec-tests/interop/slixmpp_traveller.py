"""One slixmpp client on a journey: its network is cut, and it comes back by stream management (XEP-0198), driven by a test.

Verifies the server's certificate and signs in by SCRAM alone, as slixmpp_client.py does; when its connection is lost, it connects
again. Says on standard output, one JSON object a line:
    {"bound": FULL_JID}                 a session of its own, once it has said that it is there and stream management is on
    {"resumed": FULL_JID}               the session that it had before
    {"refused": CONDITION, "h": COUNT}  it could not have that back; COUNT is null where the server does not say
    {"lost": TEXT}                      its connection
    {"from": JID, "body": TEXT, "id": ID}   for each message; ID is that of its archive
    {"acked": TEXT}                     the server has this message of its own
    {"failed": TEXT}                    and ends with status 1
Each line on standard input is an order:
    {"to": JID, "name": TEXT, "first": M, "count": N}   sends N messages, "TEXT M" and so on, as fast as it can. What slixmpp does
                                        not take because it is not connected it sends when it is, and so what the server had not
                                        acknowledged when it gave the session up
    {"leave": true}                     ends the stream

Usage: slixmpp_traveller.py PORT JID PATIENCE CA_FILE   (the password is the first line of standard input)

PATIENCE is after how many seconds without an answer it gives a connection up; 0: never.
"""

import asyncio
import json
import logging
import sys

import slixmpp
from slixmpp.stanza import Message

SID = "{urn:xmpp:sid:0}stanza-id"
# slixmpp leaves it to its user when to connect again.
PAUSE = 0.2


def say(**what):
    print(json.dumps(what), flush=True)


class Traveller(slixmpp.ClientXMPP):
    def __init__(self, port, jid, patience, ca_file, password):
        super().__init__(jid, password, plugin_config={
            "feature_mechanisms": {"unencrypted_plain": False, "encrypted_plain": False},
            "xep_0199": {"keepalive": patience > 0, "interval": max(patience / 2, 1), "timeout": patience or 30},
        })
        self.port = port
        self.ca_certs = ca_file
        self.enable_direct_tls = False
        self.enable_plaintext = False
        for plugin in ("xep_0198", "xep_0199"):
            self.register_plugin(plugin)
        # Behind the filter of xep_0198, which keeps what it counts, and does not where it is not on.
        self.add_filter("out_sync", self.went)
        self.taken = set()
        # By id, in order: what the server has not acknowledged.
        self.owed = {}
        # The same of a session that it did not get back.
        self.forgotten = {}
        self.here = asyncio.Event()
        self.leaving = False
        self.over = asyncio.Event()
        self.status = 0
        self.tasks = set()
        for event, handler in (
            ("sm_enabled", self.is_bound), ("session_resumed", self.is_resumed), ("sm_failed", self.is_refused),
            ("session_start", self.is_started), ("stanza_acked", self.is_acked), ("message", self.received),
            ("disconnected", self.is_lost), ("connection_failed", self.finds_nobody),
        ):
            self.add_event_handler(event, handler)
        for event in ("failed_all_auth", "ssl_invalid_chain", "ssl_cert_error"):
            self.add_event_handler(event, lambda why, event=event: self.failed(f"{event}: {why}"))

    def travel(self):
        self.connect("localhost", self.port)

    def begin(self, work):
        """asyncio itself does not keep it from being collected."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # What happens to it.

    def is_started(self, _event):
        self.send_presence()

    def is_bound(self, _event):
        say(bound=self.boundjid.full)
        self.begin(self.settle())

    def is_resumed(self, _event):
        say(resumed=self.boundjid.full)
        self.begin(self.settle())

    async def settle(self):
        """What the server had not acknowledged slixmpp sends again where the session is resumed, and forgets where it is not. It asks
        after each fifth stanza, but not behind what it sends again."""
        forgotten, self.forgotten = self.forgotten, {}
        for to, body in forgotten.values():
            await self.give(to, body)
        await self.waiting_queue.join()
        if self.is_connected():
            self.plugin["xep_0198"].request_ack()
            self.here.set()

    def is_refused(self, failed):
        conditions = [child.tag.partition("}")[2] for child in failed.xml]
        say(refused=" ".join(conditions), h=failed.xml.get("h"))
        # What was lost in between stands behind it.
        self.forgotten, self.owed = {**self.owed, **self.forgotten}, {}

    def is_lost(self, why):
        self.here.clear()
        if self.leaving:
            self.over.set()
            return
        say(lost=str(why))
        self.begin(self.back())

    def finds_nobody(self, _why):
        """slixmpp tries again by itself, but after a time that it doubles each time."""
        self.begin(self.again())

    async def again(self):
        await asyncio.sleep(PAUSE)
        if not self.is_connected():
            self.travel()

    async def back(self):
        await asyncio.sleep(PAUSE)
        if not self.is_connecting() and not self.is_connected():
            self.travel()

    def received(self, message):
        if message["body"]:
            ids = [child.get("id") for child in message.xml.iterfind(SID)]
            say(**{"from": message["from"].full, "body": message["body"], "id": ids[0] if ids else None})

    def is_acked(self, stanza):
        if isinstance(stanza, Message) and self.owed.pop(stanza["id"], None):
            say(acked=stanza["body"])

    def failed(self, why):
        say(failed=why)
        self.status = 1
        self.over.set()

    # What it does.

    def went(self, stanza):
        if isinstance(stanza, Message) and self.plugin["xep_0198"].enabled_out:
            self.taken.add(stanza["id"])
        return stanza

    async def give(self, to, body):
        """slixmpp forgets what it has still to send when its connection is lost, so one at a time is given to it. Whether it has it."""
        message = self.make_message(mto=to, mbody=body, mtype="chat")
        self.owed[message["id"]] = (to, body)
        message.send()
        await self.waiting_queue.join()
        return message["id"] in self.taken or self.owed.pop(message["id"], None) is None

    async def write(self, to, body):
        while True:
            await self.here.wait()
            if await self.give(to, body):
                return
            # The event that tells why has its turn.
            await asyncio.sleep(0)

    async def obey(self):
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            order = json.loads(line)
            if "leave" in order:
                self.leaving = True
                self.disconnect()
                return
            for number in range(order["first"], order["first"] + order["count"]):
                await self.write(order["to"], f"{order['name']} {number}")
            await self.here.wait()
            # There may be fewer than five behind the last request.
            self.plugin["xep_0198"].request_ack()


async def main():
    port, jid, patience, ca_file = sys.argv[1:]
    password = (await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.raw.readline)).decode().rstrip("\n")
    traveller = Traveller(int(port), jid, float(patience), ca_file, password)
    traveller.travel()
    obeying = asyncio.ensure_future(traveller.obey())
    await asyncio.wait({obeying, asyncio.ensure_future(traveller.over.wait())}, return_when=asyncio.FIRST_EXCEPTION)
    if obeying.done() and obeying.exception():
        say(failed=repr(obeying.exception()))
        return 1
    return traveller.status


# What slixmpp has to say of a lost connection is what is told here; the rest a test shows if it fails.
logging.basicConfig(level=logging.ERROR)
sys.exit(asyncio.run(main()))
