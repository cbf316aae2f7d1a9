// verify.js MODULES-DIR < vectors: every message must verify with the public standardwebhooks library under each
// secret that is in force, under no other, and in none of its mutations. Public keys (whpk_), which that library does not
// know, are checked by node's crypto in the format of Standard Webhooks 1.0. MODULES-DIR "-": without the library.
"use strict";
const crypto = require("node:crypto");
const path = require("node:path");
const readline = require("node:readline");

// "v1a,<base64 of the Ed25519 signature over id.timestamp.body>", "whpk_<base64 of the 32 bytes>"
class Asymmetric {
  constructor(text) {
    const raw = Buffer.from(text.slice(5), "base64");
    if (raw.length !== 32) throw new Error("not 32 bytes");
    this.key = crypto.createPublicKey({ key: Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw]), format: "der", type: "spki" });
  }
  verify(body, headers) {
    const now = Math.floor(Date.now() / 1000), at = Number(headers["webhook-timestamp"]);
    if (!(Math.abs(now - at) <= 300)) throw new Error("timestamp");
    const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
    for (const one of headers["webhook-signature"].split(" ")) {
      const [version, text] = one.split(",");
      const signature = Buffer.from(text || "", "base64");
      if (version === "v1a" && signature.length === 64 && crypto.verify(null, signed, this.key, signature)) return;
    }
    throw new Error("no signature matches");
  }
}

// HMAC, when there is no library: only where public keys are what is looked at
class Symmetric {
  constructor(text) { this.key = Buffer.from(text.slice(6), "base64"); }
  verify(body, headers) {
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const wanted = "v1," + crypto.createHmac("sha256", this.key).update(signed).digest("base64");
    if (!(Math.abs(Math.floor(Date.now() / 1000) - Number(headers["webhook-timestamp"])) <= 300)
        || !headers["webhook-signature"].split(" ").includes(wanted)) throw new Error("no signature matches");
  }
}
const Webhook = process.argv[2] === "-" ? Symmetric : require(path.join(process.argv[2], "standardwebhooks")).Webhook;
const verifier = (text) => (text.startsWith("whpk_") ? new Asymmetric(text) : new Webhook(text));

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
  "signature, of another version": (m) => ({ ...m, signature: m.signature.replaceAll(/v1(a?),/g, "v2$1,") }),
  "signature, of the other kind": (m) => ({ ...m, signature: m.signature.replaceAll(/v1(a?),/g, (_, a) => (a ? "v1," : "v1a,")) }),
  "signature, another message's": (m) => ({ ...m, signature: previous || "v1,AAAA v1a,AAAA" }),
  "signature, cut": (m) => ({ ...m, signature: m.signature.split(" ").map((s) => s.slice(0, -8)).join(" ") }),
};

let previous = "";

function verifies(secret, m) {
  try {
    verifier(secret).verify(m.body, {
      "webhook-id": m.id, "webhook-timestamp": m.timestamp, "webhook-signature": m.signature,
    });
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return true; // the signature held, the body is no JSON
    return false;
  }
}

async function main() {
  let messages = 0, rotations = 0, asymmetric = 0, refused = 0, findings = 0;
  const complain = (m, text) => { if (findings++ < 20) console.log(`FINDING ${m.id}: ${text}`); };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const m = JSON.parse(line);
    m.body = Buffer.from(m.body, "base64").toString("utf8");
    const now = Number(m.timestamp);
    Date.now = () => now * 1000;
    messages++;
    rotations += m.secrets.length > 1;
    asymmetric += m.secrets.some((s) => s.valid && s.text.startsWith("whpk_"));
    for (const secret of m.secrets)
      if (verifies(secret.text, m) !== secret.valid) complain(m, secret.valid ? "does not verify" : "verifies with an expired secret");
    const secret = m.secrets[0].text;
    for (const [name, change] of Object.entries(mutations)) {
      if (verifies(secret, change(m))) complain(m, `verifies after a mutation: ${name}`);
      else refused++;
    }
    previous = m.signature;
    if (m.signature.split(" ").length !== m.secrets.filter((s) => s.valid).length) complain(m, "another number of signatures");
  }
  console.log(`${messages} messages, ${rotations} with rotation, ${asymmetric} with v1a, ${refused} mutations refused, ${findings} findings`);
  process.exit(findings || !messages ? 1 : 0);
}
main();
