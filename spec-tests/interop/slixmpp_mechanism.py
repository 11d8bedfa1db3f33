"""slixmpp signs in by one mechanism and no other, as often as a test says, and tells what became of it.

Each line on standard input is an order, a JSON object of
    port, ca, jid, password, mechanism, and perhaps certificate, key
where ca, certificate and key are files and a JID without a name is a guest's,
and is answered on standard output by one JSON object:
    {"signed_in": FULL_JID, "mechanism": NAME, "tls": VERSION}
    {"refused": CONDITION}              by the server
    {"unoffered": NAMES}                the server has others
    {"unable": WHY}                     slixmpp itself does not do it here
    {"failed": WHY}                     anything else

Usage: slixmpp_mechanism.py
"""

import asyncio
import json
import logging
import sys

import slixmpp

PATIENCE = 30


class Client(slixmpp.ClientXMPP):
    def __init__(self, order):
        self.mechanism = order["mechanism"]
        super().__init__(order["jid"], order["password"], plugin_config={
            "feature_mechanisms": {"use_mech": self.mechanism},
        })
        self.ca_certs = order["ca"]
        # What it shows of itself.
        self.certfile, self.keyfile = order.get("certificate"), order.get("key")
        self.enable_direct_tls = False
        self.enable_plaintext = False
        self.outcome = asyncio.get_running_loop().create_future()
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("failed_auth", lambda failure: self.ends(refused=failure["condition"]))
        self.add_event_handler("no_auth", self.nothing_fits)
        for event in ("connection_failed", "ssl_invalid_chain", "ssl_cert_error", "disconnected"):
            self.add_event_handler(event, lambda why, event=event: self.ends(failed=f"{event}: {why}"))

    def ends(self, **how):
        if not self.outcome.done():
            self.outcome.set_result(how)

    def started(self, _event):
        tls = self.transport.get_extra_info("ssl_object")
        mechanism = self.plugin["feature_mechanisms"].mech.name
        self.ends(signed_in=self.boundjid.full, mechanism=mechanism, tls=tls.version())

    def nothing_fits(self, _event):
        offered = self.plugin["feature_mechanisms"].mech_list
        if self.mechanism in offered:
            self.ends(unable=WHY.last or "slixmpp has no such mechanism")
        else:
            self.ends(unoffered=" ".join(sorted(offered)))


class Why(logging.Handler):
    """What slixmpp says of a mechanism that it passes over."""

    last = None

    def emit(self, record):
        self.last = record.getMessage()


WHY = Why()


async def tried(order):
    WHY.last = None
    client = Client(order)
    client.connect("localhost", int(order["port"]))
    try:
        outcome = await asyncio.wait_for(client.outcome, PATIENCE)
    except asyncio.TimeoutError:
        outcome = {"failed": "nothing came of it in time"}
    client.abort()
    return outcome


async def main():
    chooser = logging.getLogger("slixmpp.util.sasl.client")
    chooser.setLevel(logging.INFO)
    chooser.addHandler(WHY)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await tried(json.loads(line))), flush=True)


asyncio.run(main())
