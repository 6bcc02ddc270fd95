import { createECDH, createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import { makeCertificate } from "./certificate";

const curve = "prime256v1";
/** Order of P-256's group, https://www.secg.org/sec2-v2.pdf. */
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const subject = "sandboxes egress authority";
const hourMs = 3600_000;
/** A certificate for a site is good for a week, and made anew after a day. */
const site = { beforeMs: 24 * hourMs, afterMs: 7 * 24 * hourMs, renewAfterMs: 24 * hourMs };
const maxSites = 512;

/**
 * Vouches for sites to guests whose policy has the host look into TLS. Its key follows from a secret of the host and is
 * never written anywhere; it is the same after a restart, so that guests go on to trust it.
 */
export class Authority {
  /** PEM, what guests are to trust. */
  readonly certificate: string;
  readonly #key: KeyObject;
  /** One for all sites: whoever has one of them would have this process. */
  readonly #siteKey: KeyObject;
  readonly #sitePem: string;
  readonly #sites = new Map<string, { context: SecureContext; madeAtMs: number }>();

  /** From 32 secret bytes. */
  constructor(secret: Buffer) {
    this.#key = keyOf(secret);
    const [notBefore, notAfter] = [new Date("2025-01-01T00:00:00Z"), new Date("2049-12-31T00:00:00Z")];
    const issuer = { subject, key: this.#key };
    this.certificate = makeCertificate({ subject, key: this.#key, issuer, notBefore, notAfter, use: "authority" });
    this.#siteKey = generateKeyPairSync("ec", { namedCurve: curve }).privateKey;
    this.#sitePem = this.#siteKey.export({ type: "pkcs8", format: "pem" }) as string;
  }

  /** What a server of that name or address speaks TLS with. */
  contextFor(host: string, nowMs = Date.now()): SecureContext {
    const known = this.#sites.get(host);
    this.#sites.delete(host);
    const isFresh = known && nowMs - known.madeAtMs < site.renewAfterMs;
    const made = isFresh ? known : { context: this.#makeContext(host, nowMs), madeAtMs: nowMs };
    // In order of their last use.
    this.#sites.set(host, made);
    const [oldest] = this.#sites.keys();
    if (this.#sites.size > maxSites && oldest !== undefined) this.#sites.delete(oldest);
    return made.context;
  }

  #makeContext(host: string, nowMs: number): SecureContext {
    const cert = makeCertificate({
      ...{ subject: "sandboxes egress", key: this.#siteKey, issuer: { subject, key: this.#key }, use: { host } },
      ...{ notBefore: new Date(nowMs - site.beforeMs), notAfter: new Date(nowMs + site.afterMs) },
    });
    return createSecureContext({ key: this.#sitePem, cert: cert + this.certificate, minVersion: "TLSv1.2" });
  }
}

/** A private key of P-256; the bias of one in 2^32 is none that matters. */
function keyOf(secret: Buffer): KeyObject {
  const scalar = (BigInt(`0x${secret.toString("hex")}`) % (order - 1n)) + 1n;
  const d = Buffer.from(scalar.toString(16).padStart(64, "0"), "hex");
  const pair = createECDH(curve);
  pair.setPrivateKey(d);
  const point = pair.getPublicKey();
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((bytes) => bytes.toString("base64url"));
  return createPrivateKey({
    key: { kty: "EC", crv: "P-256", d: d.toString("base64url"), x: x as string, y: y as string },
    format: "jwk",
  });
}
