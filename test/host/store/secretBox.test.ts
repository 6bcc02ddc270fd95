import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SecretBox } from "../../../provider/host/store/secretBox";
import { hasCode } from "../fakes/shelf";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "box-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("what was sealed opens under its label, also for a later process", () => {
  const box = new SecretBox(folder).seal("g/one", "grüße");
  expect(new SecretBox(folder).open("g/one", box)).toBe("grüße");
});

test("a box opens under no other label and not when a bit was changed", () => {
  const boxes = new SecretBox(folder);
  const box = boxes.seal("g/one", "text");
  expect(hasCode("Conflict")(caught(() => boxes.open("g/two", box)))).toBe(true);
  const bytes = Buffer.from(box, "base64");
  for (const place of [0, 12, bytes.length - 1]) {
    const changed = Buffer.from(bytes);
    changed[place] = (changed[place] as number) ^ 1;
    expect(hasCode("Conflict")(caught(() => boxes.open("g/one", changed.toString("base64"))))).toBe(true);
  }
  expect(hasCode("Conflict")(caught(() => boxes.open("g/one", "")))).toBe(true);
});

test("a key that was not finished is no key, and does not stay", () => {
  const draft = join(folder, "secrets.key.new");
  writeFileSync(draft, "half");
  const box = new SecretBox(folder).seal("g/one", "text");
  expect(existsSync(draft)).toBe(false);
  writeFileSync(draft, "of a process that ended right after");
  expect(new SecretBox(folder).open("g/one", box)).toBe("text");
  expect(existsSync(draft)).toBe(false);
});

test("equal texts make different boxes", () => {
  const boxes = new SecretBox(folder);
  expect(boxes.seal("g/one", "text")).not.toBe(boxes.seal("g/one", "text"));
});

function caught(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}
