import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { parsePlaceReference } from "../../../../provider/host/images/imageReference";
import { loginFromFiles } from "../../../../provider/host/images/registry/authFiles";

let home: string;
const path = process.env.PATH;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "home-"));
});
afterEach(async () => {
  process.env.PATH = path;
  await rm(home, { recursive: true });
});

const podman = "run/containers/auth.json";
const user = ".config/containers/auth.json";
const docker = ".docker/config.json";

async function write(name: string, content: object | string): Promise<void> {
  await mkdir(dirname(join(home, name)), { recursive: true });
  await writeFile(join(home, name), typeof content === "string" ? content : JSON.stringify(content));
}

function auths(entries: Record<string, string>): object {
  const encoded = Object.entries(entries).map(([key, login]) => [key, { auth: Buffer.from(login).toString("base64") }]);
  return { auths: Object.fromEntries(encoded) };
}

function login(reference: string, more: NodeJS.ProcessEnv = {}) {
  const parsed = parsePlaceReference(reference);
  if (parsed.kind !== "registry") throw new Error("no registry's");
  const environment = { HOME: home, XDG_RUNTIME_DIR: join(home, "run"), ...more };
  return loginFromFiles(parsed, new AbortController().signal, environment);
}

it("knows nothing where there are no files", async () => {
  expect(await login("example.org/a")).toBeUndefined();
});

it("takes the login of podman's file, then of the user's, then of Docker's", async () => {
  await write(docker, auths({ "example.org": "docker:d", "only.example": "o:o" }));
  expect(await login("example.org/a")).toEqual({ username: "docker", password: "d" });
  await write(user, auths({ "example.org": "user:u:with:colons" }));
  expect(await login("example.org/a")).toEqual({ username: "user", password: "u:with:colons" });
  await write(podman, auths({ "example.org": "podman:p" }));
  expect(await login("example.org/a")).toEqual({ username: "podman", password: "p" });
  expect(await login("only.example/a")).toEqual({ username: "o", password: "o" });
});

it("takes the file that REGISTRY_AUTH_FILE names, and no other", async () => {
  await write(docker, auths({ "example.org": "docker:d" }));
  await write("own.json", auths({ "other.org": "x:y" }));
  expect(await login("example.org/a", { REGISTRY_AUTH_FILE: join(home, "own.json") })).toBeUndefined();
  const missing = login("example.org/a", { REGISTRY_AUTH_FILE: join(home, "missing.json") });
  await expect(missing).rejects.toMatchObject({ code: "HostUnavailable", message: expect.stringMatching(/ENOENT/) });
});

it("knows the names that Docker writes", async () => {
  await write(docker, auths({ "https://index.docker.io/v1/": "hub:h", "https://quay.example/v2/": "quay:q" }));
  expect(await login("python:3.12")).toEqual({ username: "hub", password: "h" });
  expect(await login("quay.example/a/b")).toEqual({ username: "quay", password: "q" });
  expect(await login("example.org/a")).toBeUndefined();
});

it("prefers what is said of the image's own path", async () => {
  await write(podman, auths({ "example.org": "all:a", "example.org/team": "team:t", "example.org/team/app": "app:a" }));
  expect(await login("example.org/team/app:1")).toMatchObject({ username: "app" });
  expect(await login("example.org/team/other")).toMatchObject({ username: "team" });
  expect(await login("example.org/teams")).toMatchObject({ username: "all" });
});

it("takes a token that stands for a login", async () => {
  await write(docker, { auths: { "example.org": { auth: "", identitytoken: "refresh" } } });
  expect(await login("example.org/a")).toEqual({ identityToken: "refresh" });
});

it("asks credential helpers", async () => {
  await write(
    "bin/docker-credential-cloud",
    '#!/bin/sh\nread name\necho "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"for $name\\"}"\n',
  );
  await write(
    "bin/docker-credential-store",
    '#!/bin/sh\nread name\necho "{\\"Username\\":\\"me\\",\\"Secret\\":\\"for $name\\"}"\n',
  );
  await write("bin/docker-credential-none", "#!/bin/sh\necho credentials not found in native keychain\nexit 1\n");
  await write("bin/docker-credential-broken", "#!/bin/sh\necho secret stuff >&2\nexit 1\n");
  for (const name of ["cloud", "store", "none", "broken"]) {
    await chmod(join(home, "bin", `docker-credential-${name}`), 0o755);
  }
  process.env.PATH = `${join(home, "bin")}${delimiter}${path}`;
  await write(docker, {
    credsStore: "store",
    auths: { "https://index.docker.io/v1/": {} },
    credHelpers: {
      "cloud.example": "cloud",
      "none.example": "none",
      "broken.example": "broken",
      "bad.example": "../x",
    },
  });
  expect(await login("cloud.example/a")).toEqual({ identityToken: "for cloud.example" });
  expect(await login("python")).toEqual({ username: "me", password: "for https://index.docker.io/v1/" });
  expect(await login("none.example/a")).toBeUndefined();
  for (const host of ["broken.example", "bad.example"]) {
    const error = await login(`${host}/a`).catch((caught) => caught);
    expect(error).toMatchObject({ code: "HostUnavailable", hint: expect.stringMatching(/mend it/) });
    expect(String(error)).not.toContain("secret stuff");
  }
});

it.each([
  ["is no JSON", "{"],
  ["has another form", { auths: { "example.org": { auth: 1 } } }],
  ["holds no login", { auths: { "example.org": { auth: "bm9jb2xvbg==" } } }],
])("says so when a file %s, without what is in it", async (_, content) => {
  await write(docker, content);
  const error = await login("example.org/a").catch((caught) => caught);
  expect(error).toMatchObject({ code: "HostUnavailable", message: expect.stringContaining(docker) });
  expect(String(error)).not.toContain("bm9jb2xvbg");
});
