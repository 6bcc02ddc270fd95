import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { SandboxesError } from "../../client/errors";

const algorithm = "aes-256-gcm";
const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;

/**
 * Encrypts what is kept in a data directory with the key in its `secrets.key` (0600), made when it is first needed.
 * It guards copies of the database, not against whoever reads the whole directory. A box is base64 of nonce, tag and
 * ciphertext, and opens only under the label it was sealed with.
 */
export class SecretBox {
  readonly #path: string;
  #key: Buffer | undefined;

  constructor(dataDir: string) {
    this.#path = join(dataDir, "secrets.key");
  }

  seal(label: string, text: string): string {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv(algorithm, this.#read(), nonce).setAAD(Buffer.from(label));
    const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString("base64");
  }

  /** Throws `Conflict` when the key is another one or the box was changed. */
  open(label: string, box: string): string {
    const bytes = Buffer.from(box, "base64");
    const nonce = bytes.subarray(0, nonceBytes);
    const tag = bytes.subarray(nonceBytes, nonceBytes + tagBytes);
    try {
      const decipher = createDecipheriv(algorithm, this.#read(), nonce, { authTagLength: tagBytes });
      decipher.setAAD(Buffer.from(label)).setAuthTag(tag);
      const text = Buffer.concat([decipher.update(bytes.subarray(nonceBytes + tagBytes)), decipher.final()]);
      return text.toString("utf8");
    } catch (cause) {
      if (cause instanceof SandboxesError) throw cause;
      // The cause says nothing more, and may hold bytes of what it failed on.
      throw new SandboxesError("Conflict", "Cannot decrypt a secret: it was encrypted with another key", {
        hint: "restore secrets.key of the host's data directory, or put the secret again",
      });
    }
  }

  /** 32 secret bytes that follow from the key and the purpose. */
  derive(purpose: string): Buffer {
    return Buffer.from(hkdfSync("sha256", this.#read(), Buffer.alloc(0), purpose, keyBytes));
  }

  #read(): Buffer {
    this.#key ??= readKey(this.#path);
    return this.#key;
  }
}

function readKey(path: string): Buffer {
  const known = statSync(path, { throwIfNoEntry: false });
  // Of a process that ended while it made one.
  rmSync(draftOf(path), { force: true });
  if (!known) makeKey(path);
  else if ((known.mode & 0o077) !== 0) {
    throw new SandboxesError("Forbidden", "Cannot use secrets.key of the data directory: others may read it", {
      hint: "chmod 600 it, and put secrets anew whose key others may have read",
    });
  }
  const key = readFileSync(path);
  if (key.length === keyBytes) return key;
  throw new SandboxesError("Conflict", "Cannot use secrets.key of the data directory: it is damaged", {
    hint: "restore it from a backup; without it the secrets of this host are lost",
  });
}

/** Whole or not at all: half a key would lock away what is sealed with it. */
function makeKey(path: string): void {
  const draft = draftOf(path);
  const file = openSync(draft, "wx", 0o600);
  try {
    writeSync(file, randomBytes(keyBytes));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  linkSync(draft, path);
  rmSync(draft);
}

function draftOf(path: string): string {
  return `${path}.new`;
}
