// One @xmpp/client, driven by a test through its standard input and output as slixmpp_client.py is. It obeys two orders more:
//     {"carbons": true}    enables them, says {"carbons": true}, and from then on {"sent"|"received": FROM, "id": ID, "body": TEXT}
//     {"archive": MAX}     asks for all of it in pages of so many, and says {"archive": [[ID, FROM, TEXT], ...]}
// where ID is that of its archive.
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

const CARBONS = "urn:xmpp:carbons:2";
const FORWARD = "urn:xmpp:forward:0";
const MAM = "urn:xmpp:mam:2";
const RSM = "http://jabber.org/protocol/rsm";
const SID = "urn:xmpp:sid:0";

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
  if (!stanza.is("message")) return;
  const body = stanza.getChildText("body");
  if (body) say({ from: stanza.attrs.from, body });
  const carbon = stanza.getChild("sent", CARBONS) ?? stanza.getChild("received", CARBONS);
  // Only her own server may say what others of her devices have.
  if (carbon && stanza.attrs.from === account.toString()) {
    const message = carbon.getChild("forwarded", FORWARD).getChild("message");
    const id = message.getChild("stanza-id", SID)?.attrs.id;
    say({ [carbon.name]: message.attrs.from, id, body: message.getChildText("body") });
  }
});

async function archive(max) {
  const found = [];
  const collect = (stanza) => {
    const result = stanza.is("message") && stanza.getChild("result", MAM);
    if (!result) return;
    const message = result.getChild("forwarded", FORWARD).getChild("message");
    found.push([result.attrs.id, message.attrs.from, message.getChildText("body")]);
  };
  xmpp.on("stanza", collect);
  for (let after; ; ) {
    const set = xml("set", { xmlns: RSM }, xml("max", {}, String(max)), after && xml("after", {}, after));
    const answer = await xmpp.iqCaller.request(xml("iq", { type: "set" }, xml("query", { xmlns: MAM }, set)));
    const fin = answer.getChild("fin", MAM);
    if (fin.attrs.complete === "true") break;
    after = fin.getChild("set", RSM).getChildText("last");
  }
  xmpp.off("stanza", collect);
  return found;
}
xmpp.on("online", async (full) => {
  say({
    signed_in: full.toString(),
    mechanism: used,
    tls: xmpp.socket.socket.getProtocol(),
  });
  await xmpp.send(xml("presence"));
  for await (const line of lines) {
    const { to, body, carbons, archive: max } = JSON.parse(line);
    if (carbons) {
      await xmpp.iqCaller.request(xml("iq", { type: "set" }, xml("enable", { xmlns: CARBONS })));
      say({ carbons });
    } else if (max) say({ archive: await archive(max) });
    else await xmpp.send(xml("message", { to, type: "chat" }, xml("body", {}, body)));
  }
  await xmpp.stop();
});

xmpp.start().catch(fail);
