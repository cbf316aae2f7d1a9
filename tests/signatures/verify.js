// verify.js MODULES-DIR < vectors: every message must verify with the public standardwebhooks library under each
// secret that is in force, under no other, and in none of ten kinds of mutation.
"use strict";
const path = require("node:path");
const readline = require("node:readline");
const { Webhook } = require(path.join(process.argv[2], "standardwebhooks"));

const flip = (text, at) => text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
const mutations = {
  "body, a byte more": (m) => ({ ...m, body: m.body + " " }),
  "body, first byte": (m) => ({ ...m, body: "X" + m.body.slice(1) + (m.body ? "" : "X") }),
  "body, last byte gone": (m) => ({ ...m, body: m.body ? m.body.slice(0, -1) : "x" }),
  "id, another": (m) => ({ ...m, id: (m.id[0] === "f" ? "e" : "f") + m.id.slice(1) }),
  "id and timestamp run together": (m) => ({ ...m, id: m.id + "." + m.timestamp[0], timestamp: m.timestamp.slice(1) }),
  "timestamp, a second later": (m) => ({ ...m, timestamp: String(Number(m.timestamp) + 1) }),
  "timestamp, ten minutes old": (m) => ({ ...m, timestamp: String(Number(m.timestamp) - 600) }),
  "signature, a character": (m) => ({ ...m, signature: m.signature.split(" ").map((s) => flip(s, 10)).join(" ") }),
  "signature, of another version": (m) => ({ ...m, signature: m.signature.replaceAll("v1,", "v2,") }),
  "signature, cut": (m) => ({ ...m, signature: m.signature.split(" ").map((s) => s.slice(0, -8)).join(" ") }),
};

function verifies(secret, m) {
  try {
    new Webhook(secret).verify(m.body, {
      "webhook-id": m.id, "webhook-timestamp": m.timestamp, "webhook-signature": m.signature,
    });
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return true; // the signature held, the body is no JSON
    return false;
  }
}

async function main() {
  let messages = 0, rotations = 0, refused = 0, findings = 0;
  const complain = (m, text) => { if (findings++ < 20) console.log(`FINDING ${m.id}: ${text}`); };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const m = JSON.parse(line);
    m.body = Buffer.from(m.body, "base64").toString("utf8");
    const now = Number(m.timestamp);
    Date.now = () => now * 1000;
    messages++;
    rotations += m.secrets.length > 1;
    for (const secret of m.secrets)
      if (verifies(secret.text, m) !== secret.valid) complain(m, secret.valid ? "does not verify" : "verifies with an expired secret");
    const secret = m.secrets[0].text;
    for (const [name, change] of Object.entries(mutations)) {
      if (verifies(secret, change(m))) complain(m, `verifies after a mutation: ${name}`);
      else refused++;
    }
    if (m.signature.split(" ").length !== m.secrets.filter((s) => s.valid).length) complain(m, "another number of signatures");
  }
  console.log(`${messages} messages, ${rotations} with rotation, ${refused} mutations refused, ${findings} findings`);
  process.exit(findings || !messages ? 1 : 0);
}
main();
