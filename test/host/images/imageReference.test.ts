import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isLocalReference, parseImageReference } from "../../../provider/host/images";

const digest = `sha256:${"a".repeat(64)}`;

describe("parseImageReference", () => {
  it.each([
    ["python:3.12", "docker.io/library/python:3.12"],
    ["python:latest", "docker.io/library/python:latest"],
    ["library/python", "docker.io/library/python:latest"],
    ["docker.io/library/python", "docker.io/library/python:latest"],
    ["index.docker.io/library/python", "docker.io/library/python:latest"],
    ["docker://ghcr.io/a/b:1", "ghcr.io/a/b:1"],
    ["localhost/app", "localhost/app:latest"],
    ["localhost:5000/app:x", "localhost:5000/app:x"],
    ["[::1]:5000/app", "[::1]:5000/app:latest"],
    [`alpine@${digest}`, `docker.io/library/alpine@${digest}`],
    [`ghcr.io/a:1@${digest}`, `ghcr.io/a@${digest}`],
    ["oci:1.0", "docker.io/library/oci:1.0"],
    [" debian:12 ", "docker.io/library/debian:12"],
  ])("%s is the registry's %s", (reference, canonical) => {
    expect(parseImageReference(reference)).toMatchObject({ kind: "registry", canonical });
  });

  it.each(["python", "debian"])("%s is of the catalogue", (name) => {
    expect(parseImageReference(name)).toEqual({ kind: "catalogue", canonical: name, name });
  });

  it.each([
    ["oci:/a/b", { kind: "ociLayout", path: "/a/b" }],
    ["oci:/a/b:tag", { kind: "ociLayout", path: "/a/b", tag: "tag" }],
    ["docker-archive:/a.tar:x/y:1", { kind: "dockerArchive", path: "/a.tar", tag: "x/y:1" }],
    ["rootfs:/a:b.tar.gz", { kind: "rootfs", path: "/a:b.tar.gz" }],
  ])("%s names files of the host", (reference, expected) => {
    const parsed = parseImageReference(reference);
    expect(parsed).toMatchObject(expected);
    expect(isLocalReference(parsed)).toBe(true);
  });

  it("takes a colon for part of the path where something of that name exists", async () => {
    const work = await mkdtemp(join(tmpdir(), "ref-"));
    await writeFile(join(work, "a:b.tar"), "");
    expect(parseImageReference(`docker-archive:${work}/a:b.tar:t`)).toMatchObject({
      path: `${work}/a:b.tar`,
      tag: "t",
    });
    expect(parseImageReference(`docker-archive:${work}/a:b.tar`)).not.toHaveProperty("tag");
    await rm(work, { recursive: true });
  });

  it.each([
    "",
    "Python:3",
    "a b",
    "name:ta g",
    "oci:./relative",
    "rootfs:~/x.tar",
    "x@sha256:123",
    "x@md5:aa",
    "https://example.org/x",
    "host:port/x",
    "-rf",
    "a//b",
    "example.org/",
    "../x",
    `x:${"t".repeat(129)}`,
  ])("refuses %j, saying why", (reference) => {
    expect(() => parseImageReference(reference)).toThrow(
      expect.objectContaining({ code: "Invalid", hint: expect.any(String) }),
    );
  });
});
