// One @xmpp/client on a journey: its network is cut, and it comes back by stream management (XEP-0198), driven by a test through its
// standard input and output as slixmpp_traveller.py is, which says how.
//
// Usage: NODE_EXTRA_CA_CERTS=CA_FILE node xmppjs_traveller.mjs PORT JID PATIENCE   (the password is the first line of standard input)

import { createInterface } from "node:readline";
import { client, jid, xml } from "@xmpp/client";

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const fail = (why) => {
  say({ failed: String(why?.stack ?? why) });
  process.exit(1);
};

const [port, address, patience] = process.argv.slice(2);
const account = jid(address);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const password = (await lines.next()).value;

const SID = "urn:xmpp:sid:0";
const SM = "urn:xmpp:sm:3";

const xmpp = client({
  service: `xmpp://localhost:${port}`,
  domain: account.domain,
  username: account.local,
  // A function, so that PLAIN can be refused.
  credentials: async (authenticate, mechanisms, _fast, entity) => {
    if (!entity.isSecure()) fail("SASL without TLS");
    const used = mechanisms.find((name) => name.startsWith("SCRAM-"));
    if (!used) fail(`no SCRAM in ${mechanisms}`);
    await authenticate({ username: account.local, password }, used);
  },
});
const sm = xmpp.streamManagement;
xmpp.reconnect.delay = 200;
// It gives up what does not answer for as long as its user thinks right.
if (Number(patience) > 0) {
  sm.timeout = Number(patience) * 1000;
  sm.requestAckInterval = sm.timeout / 2;
} else sm.timeout = 0;

// What wants to write waits for this.
let here = Promise.withResolvers?.() ?? deferred();
function deferred() {
  const made = {};
  made.promise = new Promise((resolve) => (made.resolve = resolve));
  return made;
}
// What @xmpp/client says it has failed to deliver, which is everything not acknowledged when the session was given up.
let undelivered = [];
let leaving = false;

// Each lost connection is an error of its socket, too.
xmpp.on("error", (why) => {
  if (["StreamError", "SASLError"].includes(why.name)) say({ lost: String(why) });
});
xmpp.on("disconnect", () => {
  here = deferred();
  if (!leaving) say({ lost: "disconnect" });
});
xmpp.on("nonza", (nonza) => {
  if (nonza.is("failed", SM)) {
    const conditions = nonza.children.map((child) => child.name);
    say({ refused: conditions.join(" "), h: nonza.attrs.h ?? null });
  } else if (nonza.is("enabled", SM)) {
    // What listens to it here comes first.
    setImmediate(async () => {
      say({ bound: xmpp.jid.toString() });
      here.resolve();
      const again = undelivered;
      undelivered = [];
      for (const stanza of again) await write(stanza);
    });
  }
});
xmpp.on("online", () => xmpp.send(xml("presence")).catch(() => {}));
sm.on("resumed", () => {
  say({ resumed: xmpp.jid.toString() });
  here.resolve();
});
sm.on("ack", (stanza) => {
  const body = stanza.is("message") && stanza.getChildText("body");
  if (body) say({ acked: body });
});
sm.on("fail", (stanza) => {
  if (stanza.is("message")) undelivered.push(stanza);
});
xmpp.on("stanza", (stanza) => {
  const body = stanza.is("message") && stanza.getChildText("body");
  if (body) say({ from: stanza.attrs.from, body, id: stanza.getChild("stanza-id", SID)?.attrs.id ?? null });
});

async function write(stanza) {
  for (;;) {
    await here.promise;
    try {
      await xmpp.send(stanza);
      return;
    } catch {
      // What it counts it sends again by itself.
      if (sm.outbound_q.some((item) => item.stanza === stanza) || undelivered.includes(stanza)) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

xmpp.start().catch(() => {});
for await (const line of lines) {
  const { to, name, first, count, leave } = JSON.parse(line);
  if (leave) break;
  for (let number = first; number < first + count; number++)
    await write(xml("message", { to, type: "chat" }, xml("body", {}, `${name} ${number}`)));
}
leaving = true;
await xmpp.stop();
process.exit(0);
