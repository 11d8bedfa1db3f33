// One @xmpp/client, driven by a test through its standard input and output as slixmpp_client.py is.
//
// Usage: NODE_EXTRA_CA_CERTS=CA_FILE node xmppjs_client.mjs PORT JID   (the password is the first line of standard input)

import { createInterface } from "node:readline";
import { client, jid, xml } from "@xmpp/client";

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const fail = (why) => {
  say({ failed: String(why) });
  process.exit(1);
};

const [port, address] = process.argv.slice(2);
const account = jid(address);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const password = (await lines.next()).value;

let used;
const xmpp = client({
  service: `xmpp://localhost:${port}`,
  domain: account.domain,
  username: account.local,
  // A function, so that the mechanism can be told and PLAIN refused.
  credentials: async (authenticate, mechanisms, _fast, entity) => {
    if (!entity.isSecure()) fail("SASL without TLS");
    used = mechanisms.find((name) => name.startsWith("SCRAM-"));
    if (!used) fail(`no SCRAM in ${mechanisms}`);
    await authenticate({ username: account.local, password }, used);
  },
});
xmpp.reconnect.stop();

xmpp.on("error", fail);
xmpp.on("stanza", (stanza) => {
  const body = stanza.is("message") && stanza.getChildText("body");
  if (body) say({ from: stanza.attrs.from, body });
});
xmpp.on("online", async (full) => {
  say({
    signed_in: full.toString(),
    mechanism: used,
    tls: xmpp.socket.socket.getProtocol(),
  });
  await xmpp.send(xml("presence"));
  for await (const line of lines) {
    const { to, body } = JSON.parse(line);
    await xmpp.send(xml("message", { to, type: "chat" }, xml("body", {}, body)));
  }
  await xmpp.stop();
});

xmpp.start().catch(fail);
