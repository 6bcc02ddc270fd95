import { createHash, createPublicKey, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIP } from "node:net";
import { addressBytes } from "./addressBytes";

// X.509 v3 (RFC 5280) in DER (X.690), as much of it as an authority and a server's certificate are.

export interface CertificateContent {
  /** Common name of the subject. */
  subject: string;
  /** The subject's key; only its public part is used. */
  key: KeyObject;
  issuer: { subject: string; key: KeyObject };
  notBefore: Date;
  notAfter: Date;
  /** What it is for: signing others, or a server of that name or address. */
  use: "authority" | { host: string };
}

/** A certificate in PEM, signed by the issuer's key, P-256. */
export function makeCertificate(content: CertificateContent): string {
  const { subject, key, issuer, notBefore, notAfter, use } = content;
  const serial = randomBytes(16);
  serial[0] = ((serial[0] as number) & 0x7f) | 0x40;
  const publicKey = publicDer(key);
  const extensions =
    use === "authority"
      ? [extension(oid.basicConstraints, sequence(yes, integer(Buffer.of(0))), true), keyUsage(Buffer.of(1, 0x06))]
      : [
          extension(oid.basicConstraints, sequence(), true),
          keyUsage(Buffer.of(7, 0x80)),
          extension(oid.extendedKeyUsage, sequence(oid.serverAuth)),
          extension(oid.alternativeName, sequence(generalName(use.host))),
        ];
  const body = sequence(
    element(0xa0, integer(Buffer.of(2))),
    integer(serial),
    signatureAlgorithm,
    name(issuer.subject),
    sequence(time(notBefore), time(notAfter)),
    name(subject),
    publicKey,
    element(
      0xa3,
      sequence(
        ...extensions,
        extension(oid.subjectKeyId, element(0x04, keyId(publicKey))),
        extension(oid.authorityKeyId, sequence(element(0x80, keyId(publicDer(issuer.key))))),
      ),
    ),
  );
  const signature = sign("sha256", body, issuer.key);
  const whole = sequence(body, signatureAlgorithm, element(0x03, Buffer.of(0), signature));
  const lines = whole.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}

/** Type, length, content. */
function element(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  const bytes = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...bytes), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return element(0x30, ...parts);
}

/** Positive and without a leading zero, as all here are. */
function integer(bytes: Buffer): Buffer {
  return element(0x02, bytes);
}

function objectId(...numbers: number[]): Buffer {
  const [first = 0, second = 0, ...rest] = numbers;
  const bytes = [40 * first + second];
  for (const number of rest) {
    const groups = [number & 0x7f];
    for (let left = number >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return element(0x06, Buffer.from(bytes));
}

const oid = {
  commonName: objectId(2, 5, 4, 3),
  subjectKeyId: objectId(2, 5, 29, 14),
  keyUsage: objectId(2, 5, 29, 15),
  alternativeName: objectId(2, 5, 29, 17),
  basicConstraints: objectId(2, 5, 29, 19),
  authorityKeyId: objectId(2, 5, 29, 35),
  extendedKeyUsage: objectId(2, 5, 29, 37),
  serverAuth: objectId(1, 3, 6, 1, 5, 5, 7, 3, 1),
  ecdsaWithSha256: objectId(1, 2, 840, 10045, 4, 3, 2),
};
const yes = element(0x01, Buffer.of(0xff));
const signatureAlgorithm = sequence(oid.ecdsaWithSha256);

function extension(id: Buffer, value: Buffer, isCritical = false): Buffer {
  return sequence(id, ...(isCritical ? [yes] : []), element(0x04, value));
}

/** The first byte tells how many of the last bits count for nothing. */
function keyUsage(bits: Buffer): Buffer {
  return extension(oid.keyUsage, element(0x03, bits), true);
}

function name(commonName: string): Buffer {
  return sequence(element(0x31, sequence(oid.commonName, element(0x0c, Buffer.from(commonName)))));
}

/** Of this century's first half. */
function time(date: Date): Buffer {
  return element(0x17, Buffer.from(`${date.toISOString().slice(2, 19).replace(/[-T:]/g, "")}Z`));
}

function generalName(host: string): Buffer {
  return isIP(host) ? element(0x87, addressBytes(host)) : element(0x82, Buffer.from(host, "latin1"));
}

function publicDer(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: "spki", format: "der" });
}

function keyId(publicKey: Buffer): Buffer {
  return createHash("sha256").update(publicKey).digest().subarray(0, 20);
}
